// Where the code of the short way lies.
#ifndef HOLDFAST_CORE_HOT_HPP
#define HOLDFAST_CORE_HOT_HPP

/** Puts a function beside the others that a lock of the kernel passes through.

    After a switch from another process each page of code costs a walk through the page tables, a tenth of a microsecond
    in a virtual machine; the compiler and the linker gather what is marked in a few pages (GCC's manual, function
    attribute `hot`).
*/
#if defined(__GNUC__)
#define HOLDFAST_HOT [[gnu::hot]]
#else
#define HOLDFAST_HOT
#endif

#endif
