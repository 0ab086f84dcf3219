// The mappings against what the compiled .NET library computed; see test/data/names/README.md.
#include "names/names.hpp"

#include <holdfast/error.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::names {
namespace {

using nlohmann::json;

std::vector<json> read_lines(const std::string& file) {
    const std::string path = HOLDFAST_TEST_DATA_DIR "/names/" + file + ".jsonl";
    std::ifstream input(path);
    std::vector<json> lines;
    for (std::string line; std::getline(input, line);) lines.push_back(json::parse(line));
    EXPECT_GT(lines.size(), 10u) << path;
    return lines;
}

struct vector_file {
    const char* file;
    std::function<std::string(std::string_view)> map;
};

void PrintTo(const vector_file& file, std::ostream* output) {
    *output << file.file;
}

class Vectors : public testing::TestWithParam<vector_file> {};

TEST_P(Vectors, AreMet) {
    for (const json& row : read_lines(GetParam().file)) {
        const auto name = row.at("name").get<std::string>();
        if (!row.contains("error")) {
            EXPECT_EQ(GetParam().map(name), row.at("mapped").get<std::string>()) << "name: " << name;
            continue;
        }
        try {
            const std::string mapped = GetParam().map(name);
            ADD_FAILURE() << ".NET refuses " << name << ", we have " << mapped;
        } catch (const error& refused) {
            EXPECT_EQ(refused.boost_code(), errc::invalid_name);
            EXPECT_FALSE(refused.diag().message.empty());
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Names, Vectors,
    testing::Values(
        // The directory is not what is looked at here, and written in another way on other systems.
        vector_file{"file", [](std::string_view name) { return "/locks/" + file_name(name); }},
        vector_file{"waithandle", [](std::string_view name) { return system_object(name); }},
        vector_file{"waithandle-semaphore", [](std::string_view name) { return system_object(name); }},
        vector_file{"waithandle-exact", [](std::string_view name) { return system_object(name, mode::exact); }},
        vector_file{"postgres", [](std::string_view name) { return postgres(name).text; }},
        vector_file{"postgres-nohash", [](std::string_view name) { return postgres(name, false).text; }},
        vector_file{"mysql", [](std::string_view name) { return mysql(name); }},
        vector_file{"mysql-exact", [](std::string_view name) { return mysql(name, mode::exact); }},
        vector_file{"sqlserver", [](std::string_view name) { return sqlserver(name); }},
        vector_file{"sqlserver-exact", [](std::string_view name) { return sqlserver(name, mode::exact); }},
        vector_file{"sqlserver-semaphore", sqlserver_semaphore},
        vector_file{"oracle", [](std::string_view name) { return oracle(name); }},
        vector_file{"oracle-exact", [](std::string_view name) { return oracle(name, mode::exact); }},
        vector_file{"redis", redis}, vector_file{"mongo", mongodb},
        vector_file{"zookeeper", [](std::string_view name) { return zookeeper(name); }},
        vector_file{"zookeeper-dir", [](std::string_view name) { return zookeeper(name, "/my/dir"); }},
        vector_file{"zookeeper-exact", zookeeper_exact},
        vector_file{"azure", [](std::string_view name) { return azure(name); }},
        vector_file{"azure-emulator", [](std::string_view name) { return azure(name, azure_service::emulator); }}),
    [](const testing::TestParamInfo<vector_file>& tested) {
        std::string name = tested.param.file;
        for (char& c : name) c = c == '-' ? '_' : c;
        return name;
    });

TEST(PostgresVectors, NumbersAreMet) {
    for (const char* file : {"postgres", "postgres-nohash"}) {
        for (const json& row : read_lines(file)) {
            if (row.contains("error")) continue;
            const auto name = row.at("name").get<std::string>();
            const postgres_key key = postgres(name);
            if (row.at("sqlKind") == "int64") {
                EXPECT_EQ(key.in, postgres_key::space::int64) << name;
                EXPECT_EQ(key.key, row.at("int64").get<std::int64_t>()) << name;
            } else {
                EXPECT_EQ(key.in, postgres_key::space::int32_pair) << name;
                EXPECT_EQ(key.key1, row.at("key1").get<std::int32_t>()) << name;
                EXPECT_EQ(key.key2, row.at("key2").get<std::int32_t>()) << name;
            }
            EXPECT_EQ(postgres(key.text, false), key) << "the text of " << name << " must give its key again";
        }
    }
}

TEST(RedisVectors, ReaderWriterKeysAreMet) {
    for (const json& row : read_lines("redis")) {
        const redis_rw_keys keys = redis_rw(row.at("name").get<std::string>());
        EXPECT_EQ(keys.readers, row.at("readers").get<std::string>());
        EXPECT_EQ(keys.writer, row.at("writer").get<std::string>());
        EXPECT_EQ(redis(row.at("name").get<std::string>()), row.at("semaphore").get<std::string>());
    }
}

TEST(AllBackends, AreMet) {
    for (const json& row : read_lines("all-backends")) {
        const auto name = row.at("name").get<std::string>();
        SCOPED_TRACE(name);
        EXPECT_EQ(file_name(name), row.at("file").get<std::string>());
        EXPECT_EQ(mysql(name), row.at("mysql").get<std::string>());
        EXPECT_EQ(zookeeper(name), row.at("zookeeper").get<std::string>());
        EXPECT_EQ(sqlserver_semaphore(name), row.at("sqlserver_semaphore").get<std::string>());
        EXPECT_EQ(system_object(name), row.at("system").get<std::string>());
        EXPECT_EQ(sqlserver(name), row.at("sqlserver").get<std::string>());
        EXPECT_EQ(oracle(name), row.at("oracle").get<std::string>());
        EXPECT_EQ(azure(name), row.at("azure").get<std::string>());
        const postgres_key key = postgres(name);
        if (row.contains("key")) {
            EXPECT_EQ(key.in, postgres_key::space::int64);
            EXPECT_EQ(key.key, row.at("key").get<std::int64_t>());
            if (row.at("hashed").get<bool>()) {
                EXPECT_THROW(postgres(name, false), error);
            } else {
                EXPECT_EQ(postgres(name, false), key);
            }
        } else {
            EXPECT_EQ(key.in, postgres_key::space::int32_pair);
            EXPECT_EQ(key.key1, row.at("key1").get<std::int32_t>());
            EXPECT_EQ(key.key2, row.at("key2").get<std::int32_t>());
        }
    }
}

}  // namespace
}  // namespace holdfast::names
