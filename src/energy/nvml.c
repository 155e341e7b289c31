/* SPDX-License-Identifier: Apache-2.0
 * nvml.c - GPU boards through NVIDIA's management library, loaded by name.
 *
 * The board's own counter of millijoules since its driver was loaded (Volta or newer), renewed
 * about every 100 ms. No right is needed. Boards without the counter are not guessed at. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/internal.h"

enum { MAX_BOARDS = 16, NVML_OK = 0 };

typedef struct nvml_device nvml_device; /* theirs */

#define NVML_CALLS(X)                                                                              \
    X(int, nvmlInit_v2, (void))                                                                    \
    X(int, nvmlShutdown, (void))                                                                   \
    X(int, nvmlDeviceGetCount_v2, (unsigned *))                                                    \
    X(int, nvmlDeviceGetHandleByIndex_v2, (unsigned, nvml_device **))                              \
    X(int, nvmlDeviceGetName, (nvml_device *, char *, unsigned))                                   \
    X(int, nvmlDeviceGetTotalEnergyConsumption, (nvml_device *, unsigned long long *))

typedef struct library {
#define X(type, call, args) type(*call) args;
    NVML_CALLS(X)
#undef X
    nvml_device *boards[MAX_BOARDS];
    int n;
} library;

static bool load(library *lib)
{
    static const char *const names[] = {
#define X(type, call, args) #call,
        NVML_CALLS(X)
#undef X
    };
    void *found[SB_ARRAY_LEN(names)];
    void *so = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!so) return false;
    for (size_t i = 0; i < SB_ARRAY_LEN(names); i++)
        if (!(found[i] = dlsym(so, names[i]))) return false;
    _Static_assert(sizeof found == offsetof(library, boards), "a pointer for each call");
    memcpy(lib, found, sizeof found);
    return true;
}

static void *system_open(void *ctx, int *out_n)
{
    unsigned n = 0;
    (void)ctx;
    library *lib = sb_calloc(1, sizeof *lib);
    if (!lib) return NULL;
    const bool begun = load(lib) && lib->nvmlInit_v2() == NVML_OK;
    if (begun && lib->nvmlDeviceGetCount_v2(&n) != NVML_OK) n = 0;
    for (unsigned i = 0; i < n && lib->n < MAX_BOARDS; i++)
        if (lib->nvmlDeviceGetHandleByIndex_v2(i, &lib->boards[lib->n]) == NVML_OK) lib->n++;
    *out_n = lib->n;
    if (lib->n > 0) return lib;
    if (begun) (void)lib->nvmlShutdown();
    sb_free(lib);
    return NULL;
}

static bool system_energy_mj(void *handle, int i, uint64_t *out)
{
    const library *lib = handle;
    unsigned long long mj = 0;
    if (lib->nvmlDeviceGetTotalEnergyConsumption(lib->boards[i], &mj) != NVML_OK) return false;
    *out = mj;
    return true;
}

static bool system_name(void *handle, int i, char *out, size_t out_bytes)
{
    const library *lib = handle;
    return lib->nvmlDeviceGetName(lib->boards[i], out, (unsigned)out_bytes) == NVML_OK;
}

static void system_close(void *handle)
{
    library *lib = handle;
    (void)lib->nvmlShutdown();
    sb_free(lib);
}

const sb_nvml_calls *sb_nvml_system(void)
{
    static const sb_nvml_calls calls = {system_open, system_energy_mj, system_name, system_close,
                                        NULL};
    return &calls;
}

/* A library that was opened, and how to ask it. */
typedef struct opened {
    const sb_nvml_calls *calls;
    void *lib;
} opened;

static void close_opened(void *ctx)
{
    opened *o = ctx;
    if (o->lib) o->calls->close(o->lib);
    sb_free(o);
}

static bool read_board(const sb_counters *c, const sb_counter *z, uint64_t *out_uj)
{
    const opened *o = c->ctx;
    uint64_t mj = 0;
    errno = ENODATA;
    return o->calls->energy_mj(o->lib, z->i, &mj) && !ckd_mul(out_uj, mj, UINT64_C(1000));
}

static void add_board(sb_counters *c, sb_look *l, int i)
{
    const opened *o = c->ctx;
    char name[SB_COUNTER_NAME_BYTES] = "";
    uint64_t uj = 0;
    sb_counter z = {
        .fd = -1, .volts_fd = -1, .i = i, .kind = SB_COUNTER_GPU, .socket = -1, .mirror_of = -1};
    if (!o->calls->name(o->lib, i, name, sizeof name))
        (void)snprintf(name, sizeof name, "GPU board");
    name[sizeof name - 1] = 0;
    sb_look_text(z.name, sizeof z.name, name);
    const bool reads = read_board(c, &z, &uj);
    sb_meter_row *r = reads ? sb_look_add(l, SB_METER_GPU, SB_METER_CHECK, z.name)
                            : sb_look_fail(l, SB_METER_GPU, ENODATA, z.name);
    if (r) r->unit = "mJ";
    if (reads) c->v[c->n++] = z;
}

void sb_find_nvml(sb_counters *c, sb_look *l)
{
    const sb_nvml_calls *calls = l->roots->nvml;
    int n = 0;
    sb_counters_init(c, SB_METER_GPU, "NVML", read_board);
    if (!calls) return;
    opened *o = sb_calloc(1, sizeof *o);
    c->no_memory = !o;
    if (!o) return;
    c->ctx = o;
    c->close_ctx = close_opened;
    o->calls = calls;
    o->lib = calls->open(calls->ctx, &n);
    for (int i = 0; o->lib && i < n && c->n < MAX_BOARDS; i++)
        add_board(c, l, i);
    if (c->n > 0 && !sb_counters_start(c)) sb_counters_close(c);
}
