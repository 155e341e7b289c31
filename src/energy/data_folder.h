/* SPDX-License-Identifier: Apache-2.0
 * data_folder.h - the folders of this room in the store's home.
 *
 * Errors      SB_IO, SB_NOT_FOUND and SB_LIMIT name the path, escaped. */
#ifndef SB_ENERGY_DATA_FOLDER_H
#define SB_ENERGY_DATA_FOLDER_H
#include "base/base.h"
#include "base/limits.h"

/* out: HOME/name, made with what is missing above it; only its owner may look into it. */
sb_status sb_data_folder(char out[SB_MAX_PATH_BYTES], const char *home, const char *name,
                         sb_error *err) SB_MUST_USE;
/* "VERB 'PATH': why"; SB_NOT_FOUND for ENOENT, else SB_IO. */
sb_status sb_data_fail(sb_error *err, const char *verb, const char *path, int why);
#endif
