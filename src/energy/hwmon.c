/* SPDX-License-Identifier: Apache-2.0
 * hwmon.c - sensors of the hwmon tree: a server's own meter, the rail of a board, GPU boards.
 *
 * Chips are known by their `name`: their numbers change from boot to boot. Powers are microwatts,
 * energies microjoules; a chip of rails may show millivolts and milliamperes instead. Rails overlap
 * (the one that feeds the board feeds the others), so one that is labelled as the input counts, or
 * the only one there is, and never a sum. A graphics unit inside the processor shows the
 * processor's power: it is a part of the package, known by its northbridge voltage. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "energy/internal.h"
#include "energy/netmeter.h"

enum { MAX_CHIPS = 64, MAX_RAILS = 8, MAX_SERVERS = 8, FOLDER_BYTES = 64, LABEL_BYTES = 32 };

typedef struct chip {
    char folder[FOLDER_BYTES]; /* "hwmon3", or "hwmon3/device" where old drivers put it */
    char name[LABEL_BYTES];
} chip;

typedef struct chips {
    char dir[SB_ENERGY_PATH_BYTES];
    chip v[MAX_CHIPS];
    int n;
} chips;

static bool read_number(int fd, uint64_t *out)
{
    char buf[32];
    const int n = sb_energy_pread(fd, buf, sizeof buf);
    if (n > 0 && sb_energy_parse_u64(buf, buf + n, out)) return true;
    if (n >= 0) errno = ENODATA;
    return false;
}

static bool read_sensor(const sb_counters *c, const sb_counter *z, uint64_t *out)
{
    uint64_t mv = 0;
    (void)c;
    if (!read_number(z->fd, out)) return false;
    if (z->volts_fd < 0) return true;
    if (!read_number(z->volts_fd, &mv)) return false;
    return !ckd_mul(out, *out, mv); /* mA * mV = uW */
}

static int by_folder(const void *a, const void *b)
{
    return strcmp(((const chip *)a)->folder, ((const chip *)b)->folder);
}

static void find_chips(chips *cs, const char *sysfs)
{
    const struct dirent *e;
    cs->n = 0;
    const int len = snprintf(cs->dir, sizeof cs->dir, "%s/sys/class/hwmon", sysfs);
    DIR *d = len < 0 || (size_t)len >= sizeof cs->dir ? NULL : opendir(cs->dir);
    while (d && cs->n < MAX_CHIPS && (e = readdir(d))) {
        chip *x = &cs->v[cs->n];
        if (strncmp(e->d_name, "hwmon", 5) != 0 || strlen(e->d_name) > FOLDER_BYTES - 8) continue;
        (void)snprintf(x->folder, sizeof x->folder, "%.55s", e->d_name);
        bool named = sb_energy_read_line(cs->dir, x->folder, "name", x->name, sizeof x->name);
        if (!named) {
            (void)snprintf(x->folder, sizeof x->folder, "%.55s/device", e->d_name);
            named = sb_energy_read_line(cs->dir, x->folder, "name", x->name, sizeof x->name);
        }
        cs->n += named;
    }
    if (d) (void)closedir(d);
    qsort(cs->v, (size_t)cs->n, sizeof cs->v[0], by_folder);
}

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0) return true;
    return false;
}

/* A sensor by the first of its files that is there; false with errno when none is, or it does not
 * read. */
static bool open_sensor(const chips *cs, const chip *x, const char *const *files, size_t n,
                        sb_counter *z)
{
    uint64_t now = 0;
    *z = (sb_counter){.fd = -1, .volts_fd = -1, .socket = -1, .mirror_of = -1};
    errno = ENOENT;
    for (size_t i = 0; i < n && z->fd < 0 && errno == ENOENT; i++) {
        z->fd = sb_energy_open(cs->dir, x->folder, files[i]);
        z->watts = strncmp(files[i], "energy", 6) != 0;
    }
    if (z->fd < 0) return false;
    (void)snprintf(z->zone, sizeof z->zone, "%s", x->folder);
    if (read_number(z->fd, &now)) {
        z->last_uw = now; /* a first look; starting reads again */
        return true;
    }
    const int why = errno;
    (void)close(z->fd);
    z->fd = -1;
    errno = why;
    return false;
}

static sb_meter_row *add_row(sb_look *l, const sb_counters *c, const sb_counter *z,
                             sb_meter_state state)
{
    sb_meter_row *r = sb_look_add(l, c->meter, state, z->name);
    if (!r) return NULL;
    r->watts = z->watts;
    r->unit = z->volts_fd >= 0 ? "mA x mV" : z->watts ? "uW" : "uJ";
    r->period_ms = c->step_ns / 1000000;
    return r;
}

/* Whether what it shows can be: no more than such a thing draws, and a server always something. */
static bool believable(const sb_counters *c, const sb_counter *z)
{
    return !z->watts || (z->last_uw / 1000000 <= c->max_watts &&
                         (z->last_uw > 0 || z->kind != SB_COUNTER_SERVER));
}

static void close_sensor(sb_counter *z)
{
    (void)close(z->fd);
    if (z->volts_fd >= 0) (void)close(z->volts_fd);
}

static void take(sb_counters *c, sb_look *l, sb_counter *z)
{
    const bool good = believable(c, z);
    (void)add_row(l, c, z, good ? SB_METER_CHECK : SB_METER_IMPLAUSIBLE);
    z->known = false;
    if (good && c->n < SB_METER_MAX_ZONES) {
        c->v[c->n++] = *z;
        return;
    }
    close_sensor(z);
}

static void note(sb_counters *c, sb_look *l, int why, const char *name)
{
    if (why == EACCES || why == EPERM) c->refused = true;
    if (why != ENOENT) (void)sb_look_fail(l, c->meter, why, name);
}

static void start(sb_counters *c)
{
    if (c->n == 0 || sb_counters_start(c)) return;
    sb_counters_close(c);
    c->broken = true;
}

/* "power1_accuracy" is "0.5%", "power1_average_interval" milliseconds: what the meter says of
 * itself. */
static void read_manners(sb_counters *c, const chips *cs, const chip *x)
{
    char text[32];
    uint64_t v = 0;
    if (sb_energy_read_line(cs->dir, x->folder, "power1_accuracy", text, sizeof text) &&
        sb_energy_parse_micro(text, text + strcspn(text, "%"), 1, &v) && v > 0 && v <= 100000000)
        c->accuracy_permille = (v + 99999) / 100000;
    if (sb_energy_read_line(cs->dir, x->folder, "power1_average_interval", text, sizeof text) &&
        sb_energy_parse_u64(text, text + strlen(text), &v) && v > c->step_ns / 1000000 &&
        v <= 60000)
        c->step_ns = v * 1000000;
}

void sb_find_server(sb_counters *c, sb_look *l)
{
    static const char *const names[] = {"power_meter", "acpi_power_meter"};
    static const char *const files[] = {"power1_average", "power1_input"};
    chips cs;
    sb_counter all[MAX_SERVERS];
    const chip *of[MAX_SERVERS];
    int n = 0, best = -1;
    sb_counters_init(c, SB_METER_SERVER, "hwmon", read_sensor);
    find_chips(&cs, l->sysfs);
    for (int i = 0; i < cs.n && n < MAX_SERVERS; i++) {
        if (!is_one_of(cs.v[i].name, names, SB_ARRAY_LEN(names))) continue;
        sb_counter *z = &all[n];
        if (!open_sensor(&cs, &cs.v[i], files, SB_ARRAY_LEN(files), z)) {
            note(c, l, errno, cs.v[i].name);
            continue;
        }
        z->kind = SB_COUNTER_SERVER;
        sb_look_text(z->name, sizeof z->name, cs.v[i].name);
        if (believable(c, z) && (best < 0 || z->last_uw > all[best].last_uw)) best = n;
        of[n++] = &cs.v[i];
    }
    for (int i = 0; i < n; i++) { /* one may be a part of another: the largest alone counts */
        if (i == best) read_manners(c, &cs, of[i]);
        if (i == best || !believable(c, &all[i])) {
            take(c, l, &all[i]);
            continue;
        }
        sb_meter_row *r = add_row(l, c, &all[i], SB_METER_PART);
        if (r) sb_look_text(r->of, sizeof r->of, "the larger one");
        close_sensor(&all[i]);
    }
    start(c);
}

/* Whether a rail feeds the whole board, by its label. */
static bool is_input(const char *label)
{
    static const char *const inputs[] = {"VDD_IN",      "VIN",   "POM_5V_IN",
                                         "VIN_SYS_5V0", "total", "VSYS"};
    return is_one_of(label, inputs, SB_ARRAY_LEN(inputs));
}

static bool open_rail(const chips *cs, const chip *x, int k, sb_counter *z, char label[LABEL_BYTES])
{
    char power[32], current[32], volts[32], file[32], name[96];
    uint64_t mv = 0;
    (void)snprintf(power, sizeof power, "power%d_input", k);
    (void)snprintf(current, sizeof current, "curr%d_input", k);
    (void)snprintf(volts, sizeof volts, "in%d_input", k);
    const char *const files[] = {power, current};
    if (!open_sensor(cs, x, files, SB_ARRAY_LEN(files), z)) return false;
    const int probe = sb_energy_open(cs->dir, x->folder, power);
    if (probe >= 0) {
        (void)close(probe);
    } else {
        z->volts_fd = sb_energy_open(cs->dir, x->folder, volts);
        if (z->volts_fd < 0 || !read_number(z->volts_fd, &mv) ||
            ckd_mul(&z->last_uw, z->last_uw, mv)) {
            if (z->volts_fd >= 0) (void)close(z->volts_fd);
            (void)close(z->fd);
            errno = ENODATA;
            return false;
        }
    }
    (void)snprintf(file, sizeof file, "in%d_label", k);
    label[0] = 0;
    if (!sb_energy_read_line(cs->dir, x->folder, file, label, LABEL_BYTES)) {
        (void)snprintf(file, sizeof file, "power%d_label", k);
        (void)sb_energy_read_line(cs->dir, x->folder, file, label, LABEL_BYTES);
    }
    z->kind = SB_COUNTER_RAIL;
    if (label[0])
        (void)snprintf(name, sizeof name, "%s %s", x->name, label);
    else
        (void)snprintf(name, sizeof name, "%s rail %d", x->name, k);
    sb_look_text(z->name, sizeof z->name, name);
    return true;
}

void sb_find_rail(sb_counters *c, sb_look *l)
{
    chips cs;
    sb_counter all[MAX_RAILS];
    bool input[MAX_RAILS];
    int n = 0, n_input = 0;
    sb_counters_init(c, SB_METER_RAIL, "hwmon", read_sensor);
    find_chips(&cs, l->sysfs);
    for (int i = 0; i < cs.n; i++) {
        if (strncmp(cs.v[i].name, "ina", 3) != 0) continue;
        for (int k = 1; k <= MAX_RAILS && n < MAX_RAILS; k++) {
            char label[LABEL_BYTES];
            if (!open_rail(&cs, &cs.v[i], k, &all[n], label)) {
                note(c, l, errno, cs.v[i].name);
                continue;
            }
            input[n] = is_input(label);
            n_input += input[n++];
        }
    }
    for (int i = 0; i < n; i++) {
        if (c->n == 0 && (n == 1 || (input[i] && n_input == 1))) {
            take(c, l, &all[i]);
            continue;
        }
        sb_meter_row *r =
            add_row(l, c, &all[i], n_input == 1 ? SB_METER_PART : SB_METER_INCOMPLETE);
        if (r && n_input == 1) sb_look_text(r->of, sizeof r->of, "the rail that feeds the board");
        close_sensor(&all[i]);
    }
    start(c);
}

static bool inside_the_processor(const chips *cs, const chip *x)
{
    char label[LABEL_BYTES];
    return sb_energy_read_line(cs->dir, x->folder, "in1_label", label, sizeof label) &&
           strcmp(label, "vddnb") == 0;
}

void sb_find_hwmon_gpu(sb_counters *c, sb_look *l)
{
    static const char *const names[] = {"amdgpu", "i915", "xe", "nouveau"};
    static const char *const files[] = {"energy1_input", "power1_average", "power1_input"};
    chips cs;
    sb_counters_init(c, SB_METER_GPU, "hwmon", read_sensor);
    find_chips(&cs, l->sysfs);
    for (int i = 0; i < cs.n; i++) {
        sb_counter z;
        const chip *x = &cs.v[i];
        if (!is_one_of(x->name, names, SB_ARRAY_LEN(names))) continue;
        if (!open_sensor(&cs, x, files, SB_ARRAY_LEN(files), &z)) {
            note(c, l, errno, x->name);
            continue;
        }
        z.kind = SB_COUNTER_GPU;
        sb_look_text(z.name, sizeof z.name, x->name);
        if (!inside_the_processor(&cs, x)) {
            take(c, l, &z);
            continue;
        }
        sb_meter_row *r = add_row(l, c, &z, SB_METER_PART);
        if (r) sb_look_text(r->of, sizeof r->of, "the CPU package");
        close_sensor(&z);
    }
    start(c);
}
