/* Makes fsync and fdatasync fail with EIO, below $FAULT_FOLDER or for $FAULT_FILE, while the file $FAULT_FLAG exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd)
{
    char link[64], path[4096];
    const char *folder = getenv("FAULT_FOLDER"), *file = getenv("FAULT_FILE"), *flag = getenv("FAULT_FLAG");
    ssize_t n;
    if (!flag || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return (folder && strncmp(path, folder, strlen(folder)) == 0) || (file && strcmp(path, file) == 0);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (fails(fd)) { errno = EIO; return -1; }
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (fails(fd)) { errno = EIO; return -1; }
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(fd);
}
