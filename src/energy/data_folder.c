/* SPDX-License-Identifier: Apache-2.0
 * data_folder.c - a folder and those above it. */
#include "energy/data_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

sb_status sb_data_fail(sb_error *err, const char *verb, const char *path, int why)
{
    char shown[128];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, why == ENOENT ? SB_NOT_FOUND : SB_IO, "%s '%s': %s", verb, shown,
                   strerror(why));
}

sb_status sb_data_folder(char out[SB_MAX_PATH_BYTES], const char *home, const char *name,
                         sb_error *err)
{
    const int n = snprintf(out, SB_MAX_PATH_BYTES, "%s/%s", home, name);
    if (n < 0 || n >= SB_MAX_PATH_BYTES)
        return SB_FAIL(err, SB_LIMIT, "the path of the data folder is over %d bytes",
                       SB_MAX_PATH_BYTES);
    for (char *slash = out + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        const int failed = mkdir(out, 0777) != 0 && errno != EEXIST ? errno : 0;
        if (failed) return sb_data_fail(err, "cannot make folder", out, failed);
        *slash = '/';
    }
    if (mkdir(out, 0700) != 0 && errno != EEXIST)
        return sb_data_fail(err, "cannot make folder", out, errno);
    return SB_OK;
}
