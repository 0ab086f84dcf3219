#!/usr/bin/env python3
"""Uses Holdfast as its users do: installs or includes it, builds a small program with it, and runs that.

  static         installs the given build tree, then find_package and pkg-config
  shared         builds and installs shared libraries, then the same, and looks at what they export
  subdirectory   add_subdirectory of the sources
"""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

import exports


def run(*command, **options):
    print("$", shlex.join(map(str, command)), flush=True)
    begin = time.monotonic()
    completed = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, **options)
    print(f"  ({time.monotonic() - begin:.1f} s)", flush=True)
    if completed.returncode != 0:
        sys.exit(f"failed with {completed.returncode}: {shlex.join(map(str, command))}")
    return completed


def cmake_configure(arguments, source, build, *definitions):
    run("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_CXX_COMPILER={arguments.compiler}",
        "-DCMAKE_BUILD_TYPE=Release", *definitions)


def check_find_package(arguments, prefix, work):
    cmake_configure(arguments, arguments.source / "test/package/find_package", work / "consumer",
                    f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", work / "consumer")
    for program in ("consumer", "consumer_of_all"):
        run(work / "consumer" / program, work / "locks")


def check_pkg_config(arguments, prefix, work):
    folders = sorted({str(found.parent) for found in prefix.rglob("holdfast.pc")})
    if not folders:
        sys.exit(f"no holdfast.pc below {prefix}")
    environment = {**os.environ, "PKG_CONFIG_PATH": ":".join(folders)}
    flags = run("pkg-config", "--cflags", "--libs", "holdfast", env=environment, stdout=subprocess.PIPE, text=True)
    library_path = sorted({str(found.parent) for found in prefix.rglob("libholdfast_core.*")})
    run(arguments.compiler, "-std=c++20", arguments.source / "test/package/consumer.cpp", "-o", work / "by_pkg_config",
        *shlex.split(flags.stdout), *(f"-Wl,-rpath,{folder}" for folder in library_path))
    run(work / "by_pkg_config", work / "locks")


def check_exports(arguments, prefix, work):
    version = re.search(r"project\(holdfast\s+VERSION (\S+)", (arguments.source / "CMakeLists.txt").read_text())[1]
    programs = (work / "consumer" / "consumer", work / "consumer" / "consumer_of_all", work / "by_pkg_config")
    if wrong := exports.check(arguments.source, prefix, version, programs):
        sys.exit("\n".join(wrong))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("static", "shared", "subdirectory"))
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a built tree of the sources")
    parser.add_argument("--compiler", required=True)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="holdfast-package-") as folder:
        work = pathlib.Path(folder)
        prefix = work / "prefix"
        if arguments.kind == "subdirectory":
            cmake_configure(arguments, arguments.source / "test/package/add_subdirectory", work / "consumer",
                            f"-DHOLDFAST_SOURCE_DIR={arguments.source}", "-DHOLDFAST_CCACHE=ON")
            run("cmake", "--build", work / "consumer")
            for program in ("consumer", "consumer_of_all"):
                run(work / "consumer" / program, work / "locks")
            return

        if arguments.kind == "static":
            run("cmake", "--install", arguments.build, "--prefix", prefix, stdout=subprocess.DEVNULL)
        else:
            cmake_configure(arguments, arguments.source, work / "holdfast", "-DBUILD_SHARED_LIBS=ON",
                            "-DHOLDFAST_BUILD_TESTS=OFF", "-DHOLDFAST_BUILD_CLI=OFF", "-DHOLDFAST_CCACHE=ON",
                            # It is the linking that is looked at.
                            "-DCMAKE_CXX_FLAGS_RELEASE=-O0", "-DHOLDFAST_WERROR=ON", f"-DCMAKE_INSTALL_PREFIX={prefix}")
            run("cmake", "--build", work / "holdfast")
            run("cmake", "--install", work / "holdfast", stdout=subprocess.DEVNULL)
        check_find_package(arguments, prefix, work)
        check_pkg_config(arguments, prefix, work)
        if arguments.kind == "shared":
            check_exports(arguments, prefix, work)


if __name__ == "__main__":
    main()
