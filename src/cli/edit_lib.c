/* SPDX-License-Identifier: Apache-2.0
 * edit_lib.c - opens libedit by its soname and fills the table; all or nothing. */
#include "cli/edit_lib.h"

#include <dlfcn.h>
#include <string.h>

/* Copies the address as bytes: ISO C has no cast from an object to a function pointer. */
static bool find_call(void *lib, const char *name, void *out_fn)
{
    void *p = dlsym(lib, name);
    if (!p) return false;
    memcpy(out_fn, &p, sizeof p);
    return true;
}

sb_status sb_edit_lib_load(sb_edit_lib *out, sb_error *err)
{
    void *h = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL); /* Debian's name, then everyone's */
    if (!h) h = dlopen("libedit.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!h) h = dlopen("libedit.so", RTLD_NOW | RTLD_LOCAL);
    if (!h) return SB_FAIL(err, SB_UNSUPPORTED, "libedit is not installed (package libedit2)");
    sb_edit_lib lib;
#define X(call)                                                                                    \
    if (!find_call(h, #call, &lib.call))                                                           \
        return SB_FAIL(err, SB_UNSUPPORTED, "libedit lacks %s: install a newer libedit", #call);
    SB_EDIT_CALLS(X)
#undef X
    *out = lib;
    return SB_OK;
}
