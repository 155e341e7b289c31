/* SPDX-License-Identifier: Apache-2.0
 * kernel_file.c - the kernel's small text files, read strictly.
 *
 * sysfs makes an attribute anew for each read at offset 0, so descriptors stay open and are read
 * with pread. Opening never waits: under a tree made by hand a name may be a FIFO. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "energy/internal.h"

bool sb_energy_parse_u64(const char *p, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    const char *at = p;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (ckd_mul(&v, v, (uint64_t)10) || ckd_add(&v, v, (uint64_t)(*at - '0'))) return false;
    if (at == p || (at < end && *at != '\n' && *at != 0)) return false;
    *out = v;
    return true;
}

int sb_energy_pread(int fd, char *buf, size_t buf_bytes)
{
    ssize_t n;
    do
        n = pread(fd, buf, buf_bytes - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -1;
    buf[n] = 0;
    return (int)n;
}

int sb_energy_open(const char *dir, const char *name, const char *file)
{
    char path[SB_ENERGY_PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%s/%s/%s", dir, name, file);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

bool sb_energy_read_line(const char *dir, const char *name, const char *file, char *out,
                         size_t out_bytes)
{
    const int fd = sb_energy_open(dir, name, file);
    if (fd < 0) return false;
    const int n = sb_energy_pread(fd, out, out_bytes);
    (void)close(fd);
    if (n <= 0) return false;
    out[strcspn(out, "\n")] = 0;
    return out[0] != 0;
}
