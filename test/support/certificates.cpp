#include <support/certificates.hpp>
#include <support/redis_server.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace holdfast::test {

certificates::certificates() {
    std::string place = "/tmp/holdfast-certificates-XXXXXX";
    if (::mkdtemp(place.data()) == nullptr) throw std::runtime_error("no temporary folder");
    directory_ = place;
    run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         key("authority"), "-out", authority(), "-subj", "/CN=an authority for tests", "-days", "2"});
}

certificates::~certificates() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void certificates::add(const std::string& of, const std::string& names) const {
    const std::string request = directory_ + "/" + of + ".csr";
    const std::string extensions = directory_ + "/" + of + ".ext";
    std::ofstream(extensions) << "subjectAltName=" << names << "\n";
    run({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key(of),
         "-out", request, "-subj", "/CN=" + of});
    run({"openssl", "x509", "-req", "-in", request, "-CA", authority(), "-CAkey", key("authority"), "-CAcreateserial",
         "-out", certificate(of), "-days", "2", "-extfile", extensions});
}

std::vector<std::string> certificates::server_options(const std::string& clients) const {
    return {"--port",
            "0",
            "--tls-port",
            std::string(redis_server::own_port),
            "--tls-cert-file",
            certificate("server"),
            "--tls-key-file",
            key("server"),
            "--tls-ca-cert-file",
            authority(),
            "--tls-auth-clients",
            clients};
}

void certificates::run(const std::vector<std::string>& words) {
    std::vector<std::string> kept = words;
    std::vector<char*> arguments;
    for (std::string& word : kept) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t silent;
    ::posix_spawn_file_actions_init(&silent);
    for (const int each : {0, 1, 2}) ::posix_spawn_file_actions_addopen(&silent, each, "/dev/null", O_RDWR, 0);
    pid_t id = -1;
    const int failed = ::posix_spawnp(&id, arguments[0], &silent, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&silent);
    int status = 0;
    if (failed != 0 || ::waitpid(id, &status, 0) != id || status != 0) {
        throw std::runtime_error("openssl " + words[1] + " has failed");
    }
}

}  // namespace holdfast::test
