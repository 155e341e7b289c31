/* SPDX-License-Identifier: Apache-2.0
 * meters_test.c - trees of files as machines have them, one row each: which meter is chosen, what
 * is made of the others, and the sum after a scripted movement. Every joule once, or it is lost.
 *
 * A tree is text: "PATH=CONTENT" a line. After PATH, instead of =CONTENT: #mode0 a file nobody may
 * read, #dir a folder in its place (it opens, and reading fails), #loop a link to itself, #fifo a
 * pipe. Time is made up: before each movement's reading the last one is dated back. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "energy/internal.h"
#include "energy/meter.h"

#define MAX_UJ "262143328850" /* 0xffffffff units of 61.035 uJ, as the kernel rounds it */
#define CAP "sys/class/powercap/"
#define HWMON "sys/class/hwmon/hwmon"
#define SUPPLY "sys/class/power_supply/"
#define UJ(zone, uj) CAP zone "/energy_uj=" uj "\n"
#define ZONE(zone, name, uj)                                                                       \
    CAP zone "/name=" name "\n" CAP zone "/max_energy_range_uj=" MAX_UJ "\n" UJ(zone, uj)
#define CHIP(n, name) HWMON n "/name=" name "\n"
#define BATTERY(name, status, uw)                                                                  \
    SUPPLY name "/type=Battery\n" SUPPLY name "/status=" status "\n" SUPPLY name "/power_now=" uw  \
                "\n"

enum { ESTIMATE = -1, MAX_MOVES = 3 };

typedef struct move {
    const char *files;
    int after_ms;
    int64_t sum_uj; /* of all that is counted, since the meter was opened */
    bool lost;      /* this reading is */
} move;

typedef struct row {
    const char *title, *tree;
    int chosen; /* sb_meter_kind of what counts */
    move moves[MAX_MOVES];
    const char *list; /* "NAME:STATE;" of rows that must be there */
} row;

static const row rows[] = {
    {"psys, package, core and memory",
     ZONE("intel-rapl:0", "package-0", "1000") ZONE("intel-rapl:0:0", "core", "5")
         ZONE("intel-rapl:0:1", "dram", "70") ZONE("intel-rapl:1", "psys", "9"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "101000") UJ("intel-rapl:0:0", "90005") UJ("intel-rapl:0:1", "10070")
           UJ("intel-rapl:1", "900009"),
       100, 110000, false}},
     "package-0:chosen;package-0/dram:chosen;package-0/core:part;psys:cross-check;"},
    {"copies in memory",
     ZONE("intel-rapl:0", "package-0", "1000") ZONE("intel-rapl-mmio:0", "package-0", "1000")
         ZONE("intel-rapl-mmio:0:0", "dram", "5") ZONE("intel-rapl:0:0", "dram", "5"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "11000") UJ("intel-rapl-mmio:0", "11000") UJ("intel-rapl:0:0", "1005")
           UJ("intel-rapl-mmio:0:0", "1005"),
       100, 11000, false}},
     "package-0:chosen;package-0 (in memory):duplicate;package-0/dram (in memory):duplicate;"},
    {"the copy in memory alone",
     ZONE("intel-rapl-mmio:0", "package-0", "3000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl-mmio:0", "203000"), 1000, 200000, false}},
     "package-0 (in memory):chosen;"},
    {"dies that show their socket's one counter",
     ZONE("intel-rapl:0", "package-0-die-0", "5000") ZONE("intel-rapl:1", "package-0-die-1", "5000")
         ZONE("intel-rapl:2", "package-1-die-0", "8000")
             ZONE("intel-rapl:3", "package-1-die-1", "8000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "105000") UJ("intel-rapl:1", "105000") UJ("intel-rapl:2", "9000")
           UJ("intel-rapl:3", "9000"),
       1000, 101000, false}},
     "package-0-die-0:chosen;package-0-die-1:duplicate;package-1-die-1:duplicate;"},
    {"dies with a counter each",
     ZONE("intel-rapl:0", "package-0-die-0", "5000")
         ZONE("intel-rapl:1", "package-0-die-1", "7000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "15000") UJ("intel-rapl:1", "17061"), 1000, 20061, false}},
     "package-0-die-0:chosen;package-0-die-1:chosen;"},
    {"zones numbered against their sockets",
     ZONE("intel-rapl:0", "package-1", "10") ZONE("intel-rapl:0:0", "dram", "20")
         ZONE("intel-rapl:1", "package-0", "30") ZONE("intel-rapl:1:0", "dram", "40"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "1010") UJ("intel-rapl:0:0", "220") UJ("intel-rapl:1", "3030")
           UJ("intel-rapl:1:0", "440"),
       100, 4600, false}},
     "package-0:chosen;package-1:chosen;package-1/dram:chosen;"},
    {"the same machine renumbered",
     ZONE("intel-rapl:7", "package-0", "30") ZONE("intel-rapl:7:2", "dram", "40")
         ZONE("intel-rapl:3", "package-1", "10") ZONE("intel-rapl:3:1", "dram", "20"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:3", "1010") UJ("intel-rapl:3:1", "220") UJ("intel-rapl:7", "3030")
           UJ("intel-rapl:7:2", "440"),
       100, 4600, false}},
     "package-0:chosen;package-1:chosen;package-0/dram:chosen;"},
    {"one package that may not be read: half a sum is none",
     ZONE("intel-rapl:0", "package-0", "5000") ZONE("intel-rapl:1", "package-1", "5000") CAP
     "intel-rapl:1/energy_uj#mode0\n",
     ESTIMATE,
     {{NULL}},
     "package-0:incomplete;package-1:unreadable;"},
    {"packages that may not be read, and a server's own meter",
     ZONE("intel-rapl:0", "package-0", "5000") CAP
     "intel-rapl:0/energy_uj#mode0\n" CHIP("0", "power_meter") HWMON "0/power1_average=200000000\n",
     SB_METER_SERVER,
     {{HWMON "0/power1_average=300000000\n", 10000, 2500000000, false}},
     "package-0:unreadable;power_meter:chosen;"},
    {"a package without data, and psys",
     ZONE("intel-rapl:0", "package-0", "5000") CAP
     "intel-rapl:0/energy_uj#dir\n" ZONE("intel-rapl:1", "psys", "9"),
     SB_METER_PSYS,
     {{UJ("intel-rapl:1", "50009"), 100, 50000, false}},
     "package-0:no-data;psys:chosen;"},
    {"a register that fails beside its copy that works",
     ZONE("intel-rapl:0", "package-0", "x") ZONE("intel-rapl-mmio:0", "package-0", "3000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl-mmio:0", "103000"), 1000, 100000, false}},
     "package-0 (in memory):chosen;package-0:duplicate;"},
    {"psys alone",
     ZONE("intel-rapl:1", "psys", "1000"),
     SB_METER_PSYS,
     {{UJ("intel-rapl:1", "101000"), 1000, 100000, false}},
     "psys:chosen;"},
    {"psys and its copy",
     ZONE("intel-rapl:1", "psys", "1000") ZONE("intel-rapl-mmio:0", "psys", "1000"),
     SB_METER_PSYS,
     {{UJ("intel-rapl:1", "101000") UJ("intel-rapl-mmio:0", "101000"), 1000, 100000, false}},
     "psys:chosen;psys (in memory):duplicate;"},
    {"memory without its package",
     CAP "intel-rapl:0/name=package-0\n" ZONE("intel-rapl:0:0", "dram", "10"),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;package-0/dram:incomplete;"},
    {"memory whose zone is nowhere", ZONE("intel-rapl:0:0", "dram", "10"), ESTIMATE, {{NULL}}, ""},
    {"a range of 0",
     CAP "intel-rapl:0/name=package-0\n" CAP
         "intel-rapl:0/max_energy_range_uj=0\n" UJ("intel-rapl:0", "10"),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"a counter that does not say where it turns over",
     CAP "intel-rapl:0/name=package-0\n" UJ("intel-rapl:0", "262143300000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "262143310000"), 100, 10000, false},
      {UJ("intel-rapl:0", "71089"), 100, 10000, true},
      {UJ("intel-rapl:0", "72089"), 100, 11000, false}},
     "package-0:chosen;"},
    {"empty files",
     CAP "intel-rapl:0/name=\n" CAP "intel-rapl:0/max_energy_range_uj=\n" UJ("intel-rapl:0", ""),
     ESTIMATE,
     {{NULL}},
     ""},
    {"an empty counter",
     ZONE("intel-rapl:0", "package-0", ""),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"more digits than fit",
     ZONE("intel-rapl:0", "package-0", "99999999999999999999999"),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"a counter above its range",
     ZONE("intel-rapl:0", "package-0", "262143328999"),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"two numbers in a file",
     ZONE("intel-rapl:0", "package-0", "5 5"),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"a range of 2^64",
     CAP "intel-rapl:0/name=package-0\n" CAP
         "intel-rapl:0/max_energy_range_uj=18446744073709551615\n" UJ("intel-rapl:0", "10"),
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"names of odd bytes",
     ZONE("intel-rapl:0", "package-0\x01\xff\x1b[2J", "1000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "11000"), 100, 10000, false}},
     "package-0???[2J:chosen;"},
    {"links in a circle",
     CAP "intel-rapl:0#loop\n" ZONE("intel-rapl:1", "package-0", "10") CAP
     "intel-rapl:2/name#loop\n" CAP "intel-rapl:2/energy_uj=7\n",
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:1", "10010"), 100, 10000, false}},
     "package-0:chosen;"},
    {"a counter that is a link to itself",
     CAP "intel-rapl:0/name=package-0\n" CAP "intel-rapl:0/max_energy_range_uj=" MAX_UJ "\n" CAP
         "intel-rapl:0/energy_uj#loop\n",
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"a pipe that nobody writes",
     CAP "intel-rapl:0/name=package-0\n" CAP "intel-rapl:0/max_energy_range_uj=" MAX_UJ "\n" CAP
         "intel-rapl:0/energy_uj#fifo\n",
     ESTIMATE,
     {{NULL}},
     "package-0:no-data;"},
    {"a reset to 0 is lost, and what comes after is not",
     ZONE("intel-rapl:0", "package-0", "5000000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "0"), 100, 0, true}, {UJ("intel-rapl:0", "70000"), 100, 70000, false}},
     "package-0:chosen;"},
    {"a wrap",
     ZONE("intel-rapl:0", "package-0", "262143300000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "71089"), 1000, 100000, false}},
     "package-0:chosen;"},
    {"an idle hour of quarter turns",
     ZONE("intel-rapl:0", "package-0", "200000000000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "2856671089"), 200000, 65000000000, false},
      {UJ("intel-rapl:0", "67856671089"), 200000, 130000000000, false}},
     "package-0:chosen;"},
    {"a gap longer than a turn",
     ZONE("intel-rapl:0", "package-0", "1000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "2000"), 300000, 0, true},
      {UJ("intel-rapl:0", "3000"), 100, 1000, false}},
     "package-0:chosen;"},
    {"more than a package can draw",
     ZONE("intel-rapl:0", "package-0", "1000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "900001000"), 100, 0, true}},
     "package-0:chosen;"},
    {"counters that stand still for a second",
     ZONE("intel-rapl:0", "package-0", "1000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "1000"), 300, 0, false}, {UJ("intel-rapl:0", "1000"), 300, 0, true}},
     "package-0:frozen;"},
    {"what a host gives its guest",
     "intel-rapl:0/energy_uj=1000000\nintel-rapl:1/energy_uj=5\nintel-rapl:0:0/placeholder=\n",
     SB_METER_GUEST,
     {{"intel-rapl:0/energy_uj=9000000\nintel-rapl:1/energy_uj=1000005\n", 60000, 9000000, false}},
     "intel-rapl:0:chosen;intel-rapl:1:chosen;"},
    {"a server's meter under its old folder",
     CHIP("0", "coretemp") HWMON "4/device/name=power_meter\n" HWMON
                                 "4/device/power1_average=100000000\n",
     SB_METER_SERVER,
     {{HWMON "4/device/power1_average=100000000\n", 20000, 2000000000, false}},
     "power_meter:chosen;"},
    {"hwmon in another order",
     CHIP("0", "power_meter") CHIP("4", "coretemp") HWMON "0/power1_average=100000000\n",
     SB_METER_SERVER,
     {{HWMON "0/power1_average=200000000\n", 20000, 3000000000, false}},
     "power_meter:chosen;"},
    {"a frozen controller beside registers that live",
     ZONE("intel-rapl:0", "package-0", "0") CHIP("1", "power_meter") HWMON
     "1/power1_average=123000000\n",
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "50000000"), 1000, 50000000, false}},
     "package-0:chosen;power_meter:cross-check;"},
    {"two meters of a server: the larger has the other in it",
     CHIP("1", "power_meter") HWMON "1/power1_average=90000000\n" CHIP("2", "power_meter") HWMON
     "2/power1_average=100000000\n",
     SB_METER_SERVER,
     {{HWMON "1/power1_average=90000000\n", 10000, 1000000000, false}},
     "power_meter:part;power_meter:chosen;"},
    {"a disabled sensor",
     CHIP("0", "power_meter") HWMON "0/power1_average#dir\n",
     ESTIMATE,
     {{NULL}},
     "power_meter:no-data;"},
    {"a sensor that shows a power station",
     CHIP("0", "power_meter") HWMON "0/power1_average=99999999999999\n",
     ESTIMATE,
     {{NULL}},
     "power_meter:implausible;"},
    {"a server that draws nothing",
     CHIP("0", "power_meter") HWMON "0/power1_average=0\n",
     ESTIMATE,
     {{NULL}},
     "power_meter:implausible;"},
    {"a negative power",
     CHIP("0", "power_meter") HWMON "0/power1_average=-5000000\n",
     ESTIMATE,
     {{NULL}},
     "power_meter:no-data;"},
    {"a sensor of watts that fails, and comes back",
     CHIP("0", "power_meter") HWMON "0/power1_average=100000000\n",
     SB_METER_SERVER,
     {{HWMON "0/power1_average=\n", 5000, 0, true},
      {HWMON "0/power1_average=100000000\n", 5000, 0, true},
      {HWMON "0/power1_average=100000000\n", 5000, 500000000, false}},
     "power_meter:chosen;"},
    {"watts that nobody read for a minute",
     CHIP("0", "power_meter") HWMON "0/power1_average=100000000\n",
     SB_METER_SERVER,
     {{HWMON "0/power1_average=100000000\n", 60000, 0, true},
      {HWMON "0/power1_average=100000000\n", 10000, 1000000000, false}},
     "power_meter:chosen;"},
    {"two batteries, one after the other",
     BATTERY("BAT0", "Discharging", "20000000") BATTERY("BAT1", "Not charging", "0"),
     SB_METER_BATTERY,
     {{SUPPLY "BAT0/power_now=10000000\n", 10000, 150000000, false},
      {SUPPLY "BAT0/status=Not charging\n" SUPPLY "BAT0/power_now=0\n" SUPPLY
              "BAT1/status=Discharging\n" SUPPLY "BAT1/power_now=30000000\n",
       10000, 350000000, false}},
     "BAT0:chosen;BAT1:chosen;"},
    {"two batteries that both feed",
     BATTERY("BAT0", "Discharging", "5000000") BATTERY("BAT1", "Discharging", "7000000"),
     SB_METER_BATTERY,
     {{SUPPLY "BAT0/power_now=5000000\n", 10000, 120000000, false}},
     "BAT0:chosen;BAT1:chosen;"},
    {"a battery that charges",
     BATTERY("BAT0", "Charging", "20000000"),
     ESTIMATE,
     {{NULL}},
     "BAT0:resting;"},
    {"two batteries, one charges",
     BATTERY("BAT0", "Discharging", "20000000") BATTERY("BAT1", "Charging", "9000000"),
     ESTIMATE,
     {{NULL}},
     "BAT0:resting;BAT1:resting;"},
    {"a battery that is put to the mains",
     BATTERY("BAT0", "Discharging", "20000000"),
     SB_METER_BATTERY,
     {{SUPPLY "BAT0/status=Charging\n", 10000, 0, true}},
     "BAT0:chosen;"},
    {"a current with its sign, and a voltage",
     SUPPLY "BAT0/type=Battery\n" SUPPLY "BAT0/status=Discharging\n" SUPPLY
            "BAT0/current_now=-1500000\n" SUPPLY "BAT0/voltage_now=12000000\n",
     SB_METER_BATTERY,
     {{SUPPLY "BAT0/current_now=-1500000\n", 10000, 180000000, false}},
     "BAT0:chosen;"},
    {"a battery of a mouse",
     BATTERY("BATmouse", "Discharging", "100000") SUPPLY
     "BATmouse/scope=Device\n" BATTERY("hidpp_battery_0", "Discharging", "100000"),
     ESTIMATE,
     {{NULL}},
     ""},
    {"current times voltage beyond 64 bits",
     SUPPLY "BAT0/type=Battery\n" SUPPLY "BAT0/status=Discharging\n" SUPPLY
            "BAT0/current_now=18446744073709551615\n" SUPPLY "BAT0/voltage_now=12000000\n",
     ESTIMATE,
     {{NULL}},
     "BAT0:no-data;"},
    {"a laptop: packages before the battery",
     ZONE("intel-rapl:0", "package-0", "0") BATTERY("BAT0", "Discharging", "20000000"),
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "70000"), 100, 70000, false}},
     "package-0:chosen;BAT0:cross-check;"},
    {"a GPU board beside the package",
     ZONE("intel-rapl:0", "package-0", "0") CHIP("3", "amdgpu") HWMON "3/power1_average=30000000\n",
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "100000000") HWMON "3/power1_average=50000000\n", 10000, 500000000,
       false}},
     "package-0:chosen;amdgpu:added;"},
    {"two cards with counters: the card's, not the chip's in it",
     ZONE("intel-rapl:0", "package-0", "0") CHIP("3", "xe") HWMON
     "3/energy1_input=5000\n" HWMON "3/energy2_input=4000\n" CHIP("5", "i915") HWMON
     "5/energy1_input=70\n",
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "1000") HWMON "3/energy1_input=7000\n" HWMON
                                        "3/energy2_input=5000\n" HWMON "5/energy1_input=170\n",
       1000, 3100, false}},
     "package-0:chosen;xe:added;i915:added;"},
    {"a graphics unit inside the processor",
     ZONE("intel-rapl:0", "package-0", "0") CHIP("3", "amdgpu") HWMON
     "3/power1_input=30000000\n" HWMON "3/in1_label=vddnb\n",
     SB_METER_POWERCAP,
     {{UJ("intel-rapl:0", "100000") HWMON "3/power1_input=50000000\n", 10000, 100000, false}},
     "package-0:chosen;amdgpu:part;"},
    {"a GPU board alone is no meter of answers",
     CHIP("3", "amdgpu") HWMON "3/power1_average=30000000\n",
     ESTIMATE,
     {{NULL}},
     "amdgpu:alone;"},
    {"the input rail of a board, and rails it feeds",
     CHIP("1", "ina3221") HWMON
     "1/in1_label=VDD_IN\n" HWMON "1/in1_input=5000\n" HWMON "1/curr1_input=2000\n" HWMON
     "1/in2_label=VDD_CPU_GPU_CV\n" HWMON "1/in2_input=5000\n" HWMON "1/curr2_input=1000\n" HWMON
     "1/in3_label=VDD_SOC\n" HWMON "1/in3_input=5000\n" HWMON "1/curr3_input=500\n",
     SB_METER_RAIL,
     {{HWMON "1/curr1_input=3000\n", 10000, 125000000, false}},
     "ina3221 VDD_IN:chosen;ina3221 VDD_CPU_GPU_CV:part;ina3221 VDD_SOC:part;"},
    {"rails of which none says that it is the input",
     CHIP("1", "ina226") HWMON "1/power1_input=4000000\n" CHIP("2", "ina226") HWMON
     "2/power1_input=5000000\n",
     ESTIMATE,
     {{NULL}},
     "ina226 rail 1:incomplete;"},
    {"the one rail there is",
     CHIP("1", "ina226") HWMON "1/power1_input=4000000\n",
     SB_METER_RAIL,
     {{HWMON "1/power1_input=6000000\n", 10000, 50000000, false}},
     "ina226 rail 1:chosen;"},
    {"nothing at all", "sys/class/thermal/thermal_zone0/temp=40000\n", ESTIMATE, {{NULL}}, ""},
    {"a powercap tree without meters",
     CAP "dtpm:0/name=anything\n" CAP "dtpm:0/energy_uj=5\n",
     ESTIMATE,
     {{NULL}},
     ""},
};

static void make_folders(char *full, size_t from)
{
    for (char *slash = full + from; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(full, 0777);
        *slash = '/';
    }
}

static void put(const char *root, const char *path, size_t n_path, const char *text, size_t n_text)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s/%.*s", root, (int)n_path, path);
    make_folders(full, strlen(root) + 1);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n_text, f), n_text);
    if (n_text) fputc('\n', f);
    fclose(f);
}

static void put_special(const char *root, const char *path, size_t n_path, const char *what)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s/%.*s", root, (int)n_path, path);
    make_folders(full, strlen(root) + 1);
    if (strncmp(what, "mode0", 5) == 0) {
        assert_int_equal(chmod(full, 0), 0);
        return;
    }
    (void)unlink(full);
    if (strncmp(what, "dir", 3) == 0) assert_int_equal(mkdir(full, 0777), 0);
    if (strncmp(what, "loop", 4) == 0) assert_int_equal(symlink(full, full), 0);
    if (strncmp(what, "fifo", 4) == 0) assert_int_equal(mkfifo(full, 0666), 0);
}

static void put_tree(const char *root, const char *tree)
{
    for (const char *line = tree; *line;) {
        const size_t n = strcspn(line, "\n"), at = strcspn(line, "=#");
        assert_true(at < n);
        if (line[at] == '=')
            put(root, line, at, line + at + 1, n - at - 1);
        else
            put_special(root, line, at, line + at + 1);
        line += n + 1;
    }
}

static void make_root(char root[64])
{
    (void)strcpy(root, "/tmp/sobre-meters-XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(chmod(root, 0755), 0);
}

static void drop_root(const char *root)
{
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a folder made above
}

/* As a user who is not root: rights hold for them. */
static void open_as_user(sb_sources *s, const sb_meter_roots *roots)
{
    if (geteuid() == 0) assert_int_equal(seteuid(65534), 0);
    const sb_status status = sb_sources_open(s, roots, NULL);
    if (getuid() == 0) assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, SB_OK);
}

static void date_back(sb_counters *c, int ms)
{
    for (int i = 0; c && i < c->n; i++) {
        c->v[i].prev_ns = sb_now_ns() - (uint64_t)ms * 1000000;
        c->v[i].asked_ns = 0;
    }
}

/* Reads all that is counted as if so much time had gone by; true: some of it was lost. */
static bool tick(sb_sources *s, int ms, int64_t *sum_uj)
{
    uint32_t lost = s->main->n_lost;
    date_back(s->main, ms);
    for (int i = 0; i < s->n_added; i++) {
        lost += s->added[i]->n_lost;
        date_back(s->added[i], ms);
    }
    sb_counters_tick(s->main);
    uint32_t lost_now = s->main->n_lost;
    *sum_uj = (int64_t)s->main->sum_uj;
    for (int i = 0; i < s->n_added; i++) {
        sb_counters_tick(s->added[i]);
        lost_now += s->added[i]->n_lost;
        *sum_uj += (int64_t)s->added[i]->sum_uj;
    }
    return lost_now != lost;
}

static bool has_watts(const sb_sources *s)
{
    bool any = s->main->watts;
    for (int i = 0; i < s->n_added; i++)
        any = any || s->added[i]->watts;
    return any;
}

/* "NAME:STATE;" of every row that a text names is there. */
static void check_list(const row *r, const sb_meter_row *list, size_t n)
{
    char all[4096] = ";";
    for (size_t i = 0; i < n; i++) {
        const size_t at = strlen(all);
        (void)snprintf(all + at, sizeof all - at, "%s:%s;", list[i].name,
                       sb_meter_state_id(list[i].state));
        for (const char *p = list[i].name; *p; p++)
            assert_in_range(*p, 0x20, 0x7e);
        assert_true((list[i].state == SB_METER_REFUSED) == (list[i].command[0] != 0));
    }
    for (const char *want = r->list; *want; want += strcspn(want, ";") + 1) {
        char one[128];
        (void)snprintf(one, sizeof one, ";%.*s;", (int)strcspn(want, ";"), want);
        if (!strstr(all, one)) fail_msg("%s: no %s in %s", r->title, one, all);
    }
}

static void run_row(const row *r, sb_meter_row *list)
{
    char root[64];
    sb_sources s;
    make_root(root);
    put_tree(root, r->tree);
    /* Without a survey it is the same. */
    const sb_meter_roots quick = {.sysfs = root};
    open_as_user(&s, &quick);
    assert_int_equal(s.main ? (int)s.main->meter : ESTIMATE, r->chosen);
    assert_int_equal(s.n_checks, 0);
    sb_sources_close(&s);
    const sb_meter_roots roots = {.sysfs = root, .survey = true};
    open_as_user(&s, &roots);
    const int chosen = s.main ? (int)s.main->meter : ESTIMATE;
    if (chosen != r->chosen) fail_msg("%s: chosen %d, not %d", r->title, chosen, r->chosen);
    for (int i = 0; i < MAX_MOVES && r->moves[i].files; i++) {
        const move *m = &r->moves[i];
        int64_t sum_uj = 0;
        put_tree(root, m->files);
        const bool lost = tick(&s, m->after_ms, &sum_uj);
        /* The time between two sensor readings is made up, and a little more. */
        const int64_t more = has_watts(&s) ? m->sum_uj / 10 : 0;
        if (lost != m->lost || sum_uj < m->sum_uj || sum_uj > m->sum_uj + more)
            fail_msg("%s: move %d: %lld uJ%s, not %lld", r->title, i, (long long)sum_uj,
                     lost ? " and a loss" : "", (long long)m->sum_uj);
    }
    check_list(r, list, sb_sources_list(&s, list, SB_METER_MAX_ROWS));
    sb_sources_close(&s);
    drop_root(root);
}

static void every_tree_gives_its_meter_and_its_sum(void **state)
{
    (void)state;
    sb_meter_row *list = calloc(SB_METER_MAX_ROWS, sizeof *list);
    assert_non_null(list);
    assert_true(SB_ARRAY_LEN(rows) >= 30);
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        run_row(&rows[i], list);
    free(list);
}

static uint64_t fake_cpu_ns;
static uint64_t read_fake_cpu_ns(void)
{
    return fake_cpu_ns;
}

/* The same watts for minutes are believed of a machine that does the same for minutes. */
static void a_sensor_is_frozen_when_the_load_changes_without_it(void **state)
{
    (void)state;
    char root[64];
    sb_sources s;
    make_root(root);
    put_tree(root, CHIP("0", "power_meter") HWMON "0/power1_average=100000000\n");
    const sb_meter_roots roots = {.sysfs = root, .survey = true};
    open_as_user(&s, &roots);
    sb_counters *c = s.main;
    c->cpu_ns = read_fake_cpu_ns;
    for (int busy = 0; busy < 2; busy++)
        for (int i = 0; i < 12; i++) {
            int64_t sum_uj = 0;
            c->tick_ns = sb_now_ns() - 10000000000u;
            c->cpu_prev_ns = fake_cpu_ns;
            fake_cpu_ns += busy ? 10000000000u : 1000000000u; /* of ten seconds: all, or one */
            const bool lost = tick(&s, 10000, &sum_uj);
            if (lost != (busy == 1)) fail_msg("busy %d, tick %d: lost %d", busy, i, lost);
        }
    sb_meter_row list[4];
    assert_true(sb_sources_list(&s, list, SB_ARRAY_LEN(list)) >= 1);
    assert_int_equal(list[0].state, SB_METER_FROZEN);
    int64_t before_uj = 0, sum_uj = 0;
    put_tree(root, HWMON "0/power1_average=150000000\n"); /* it lives again */
    (void)tick(&s, 10000, &before_uj);
    assert_false(tick(&s, 10000, &sum_uj));
    assert_in_range(sum_uj - before_uj, 1500000000, 1520000000);
    sb_sources_close(&s);
    drop_root(root);
}

static void what_a_meter_says_of_itself_is_kept(void **state)
{
    (void)state;
    char root[64];
    make_root(root);
    put_tree(root, CHIP("0", "power_meter") HWMON "0/power1_average=100000000\n" HWMON
                                                  "0/power1_accuracy=2.5%\n" HWMON
                                                  "0/power1_average_interval=4000\n");
    const sb_meter_roots roots = {.sysfs = root};
    sb_sources s;
    open_as_user(&s, &roots);
    assert_int_equal(s.main->accuracy_permille, 25);
    assert_int_equal(s.main->step_ns, 4000000000u);
    sb_sources_close(&s);
    sb_meter *m = NULL;
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    assert_string_equal(sb_meter_name(m), "hwmon server power, 1 counter");
    const sb_meter_facts f = sb_meter_chosen(m);
    assert_true(f.kind == SB_METER_SERVER && f.watts && f.period_ms == 4000 && f.n_gpus == 0);
    assert_int_equal(f.accuracy_permille, 25);
    assert_in_range(sb_meter_poll_ns(m), 1, SB_MAX_POWER_GAP_S * UINT64_C(1000000000) / 2);
    sb_meter_mark mark = sb_meter_begin(m);
    sb_stretch t = sb_meter_stretch(m, &mark);
    assert_true(t.is_short);
    mark.now_ns -= 20000000000u;
    mark.sum_uj -= 2000000000; /* twenty seconds at 100 W ago */
    t = sb_meter_stretch(m, &mark);
    assert_int_equal(t.source, SB_ENERGY_MEASURED);
    assert_in_range(t.all_uj, 2000000000, 2010000000);
    assert_string_equal(t.method, "sampled_power_x_cpu_time_share");
    assert_non_null(strstr(t.scope, "watts read every 4 s and integrated"));
    assert_true(t.lo_uj <= t.all_uj * 975 / 1000 && t.hi_uj >= t.all_uj * 1025 / 1000);
    sb_meter_close(m);
    drop_root(root);
}

/* The host split reads the tree alone: its proc/stat and its control group, or nobody else is. */
static void a_tree_says_who_else_is_busy(void **state)
{
    (void)state;
    char root[64];
    make_root(root);
    put_tree(root, ZONE("intel-rapl:0", "package-0", "0"));
    const sb_meter_roots roots = {.sysfs = root};
    sb_meter *m = NULL;
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    sb_meter_mark mark = sb_meter_begin(m);
    assert_int_equal(mark.host_busy_ns, 0);
    usleep(20000);
    put_tree(root, UJ("intel-rapl:0", "100000"));
    sb_stretch t = sb_meter_stretch(m, &mark);
    assert_int_equal(t.source, SB_ENERGY_MEASURED);
    assert_int_equal(t.other_uj, 0);
    sb_meter_close(m);
    put_tree(root, "proc/stat=cpu  1000 0 0 9 9 0 0 0 0 0\n"
                   "sys/fs/cgroup/cpu.stat=usage_usec 5000000\n");
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    mark = sb_meter_begin(m);
    usleep(20000);
    put_tree(root, UJ("intel-rapl:0", "200000") "proc/stat=cpu  1400 0 0 9 9 0 0 0 0 0\n"
                                                "sys/fs/cgroup/cpu.stat=usage_usec 6000000\n");
    t = sb_meter_stretch(m, &mark); /* one second of four is ours */
    assert_int_equal(t.all_uj, 100000);
    assert_int_equal(t.other_uj, 75000);
    sb_meter_close(m);
    drop_root(root);
}

/* Boards of a library that is not there. */
typedef struct boards {
    int n, n_closed;
    bool fails;
    uint64_t mj[4];
} boards;

static void *open_boards(void *ctx, int *out_n)
{
    const boards *b = ctx;
    *out_n = b->n;
    return ctx;
}

static bool board_mj(void *ctx, int i, uint64_t *out)
{
    const boards *b = ctx;
    *out = b->mj[i];
    return !b->fails && b->mj[i] != 0;
}

static bool board_name(void *ctx, int i, char *out, size_t out_bytes)
{
    (void)ctx;
    (void)snprintf(out, out_bytes, "Board\n%d", i);
    return true;
}

static void close_boards(void *ctx)
{
    boards *b = ctx;
    b->n_closed++;
}

static void boards_are_added_to_the_packages(void **state)
{
    (void)state;
    char root[64];
    boards b = {.n = 3, .mj = {1000, 0, 5000}}; /* the second has no counter */
    const sb_nvml_calls calls = {open_boards, board_mj, board_name, close_boards, &b};
    make_root(root);
    put_tree(root, ZONE("intel-rapl:0", "package-0", "0"));
    const sb_meter_roots roots = {.sysfs = root, .nvml = &calls, .survey = true};
    sb_meter *m = NULL;
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    assert_string_equal(sb_meter_name(m), "RAPL package, 1 counter + 2 GPU");
    assert_int_equal(sb_meter_chosen(m).n_gpus, 2);
    sb_meter_mark mark = sb_meter_begin(m);
    usleep(20000);
    b.mj[0] += 70;
    b.mj[2] += 30;
    put_tree(root, UJ("intel-rapl:0", "100000"));
    sb_stretch t = sb_meter_stretch(m, &mark);
    assert_int_equal(t.source, SB_ENERGY_MEASURED);
    assert_int_equal(t.all_uj, 200000);
    assert_int_equal(strncmp(t.scope, "GPU boards; CPU packages", 24), 0);
    usleep(3000);
    b.fails = true;
    put_tree(root, UJ("intel-rapl:0", "101000"));
    t = sb_meter_stretch(m, &mark);
    assert_true(t.is_lost); /* a part of the sum is not the sum */
    sb_meter_row list[8];
    const size_t n = sb_meter_list(m, list, SB_ARRAY_LEN(list));
    assert_int_equal(n, 5); /* package, three boards, the estimate */
    assert_string_equal(list[1].name, "Board?0");
    assert_int_equal(list[1].state, SB_METER_ADDED);
    assert_int_equal(list[2].state, SB_METER_NO_DATA);
    assert_int_equal(list[4].kind, SB_METER_ESTIMATE);
    assert_int_equal(list[4].state, SB_METER_FALLBACK);
    sb_meter_close(m);
    assert_int_equal(b.n_closed, 1);
    drop_root(root);
}

/* A controller that is not there. */
typedef struct controller {
    int n_asked, fail_errno;
    uint8_t answer[19];
} controller;

static int open_controller(void *ctx)
{
    const controller *b = ctx;
    errno = b->fail_errno;
    return b->fail_errno ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int ask_controller(void *ctx, int fd, const sb_ipmi_request *rq, uint8_t *out,
                          size_t out_bytes)
{
    controller *b = ctx;
    static const uint8_t want[] = {0xdc, 1, 0, 0};
    assert_true(fd >= 0);
    assert_int_equal(rq->netfn, 0x2c);
    assert_int_equal(rq->cmd, 2);
    assert_int_equal(rq->n, sizeof want);
    assert_memory_equal(rq->data, want, rq->n);
    assert_true(out_bytes >= sizeof b->answer);
    b->n_asked++;
    memcpy(out, b->answer, sizeof b->answer);
    return sizeof b->answer;
}

static void a_controller_is_the_last_before_the_estimate(void **state)
{
    (void)state;
    char root[64];
    controller b = {
        .answer = {0, 0xdc, 0x2c, 1, 1, 0, 0xff, 1, 0, 1, 1, 2, 3, 4, 0xe8, 3, 0, 0, 0x40}};
    const sb_ipmi_calls calls = {open_controller, ask_controller, &b};
    const sb_meter_roots roots = {.sysfs = root, .ipmi = &calls, .survey = true};
    uint32_t watts = 0, period_ms = 0;
    assert_true(sb_dcmi_parse(b.answer, 19, &watts, &period_ms));
    assert_int_equal(watts, 300);
    assert_int_equal(period_ms, 1000);
    for (size_t n = 0; n < 19; n++)
        assert_false(sb_dcmi_parse(b.answer, n, &watts, &period_ms));
    make_root(root);
    sb_sources s;
    open_as_user(&s, &roots);
    assert_int_equal(s.main->meter, SB_METER_DCMI);
    const int n_asked = b.n_asked;
    sb_counters_tick(s.main); /* a moment later it is not asked again */
    assert_int_equal(b.n_asked, n_asked);
    int64_t sum_uj = 0;
    b.answer[2] = 0xf4; /* 500 W */
    (void)tick(&s, 10000, &sum_uj);
    assert_in_range(sum_uj, 4000000000, 4050000000);
    sb_sources_close(&s);
    put_tree(root, BATTERY("BAT0", "Discharging", "20000000"));
    open_as_user(&s, &roots);
    assert_int_equal(s.main->meter, SB_METER_BATTERY);
    sb_sources_close(&s);
    b.answer[18] = 0; /* measuring is switched off */
    open_as_user(&s, &roots);
    assert_int_equal(s.n_checks, 0);
    sb_sources_close(&s);
    b.fail_errno = EACCES;
    open_as_user(&s, &roots);
    sb_meter_row list[4];
    assert_int_equal(sb_sources_list(&s, list, 4), 2);
    assert_int_equal(list[1].state, SB_METER_REFUSED);
    assert_string_equal(list[1].command, "sudo chmod a+rw /dev/ipmi0");
    sb_sources_close(&s);
    drop_root(root);
}

static void the_command_names_the_tree(void **state)
{
    (void)state;
    char command[SB_METER_COMMAND_BYTES], small[12];
    sb_look_command("/t", SB_METER_POWERCAP, command, sizeof command);
    assert_string_equal(command, "sudo chmod a+r /t/sys/class/powercap/*/energy_uj");
    sb_look_command("", SB_METER_PERF, command, sizeof command);
    assert_int_equal(strncmp(command, "sudo setcap cap_perfmon=ep /", 28), 0);
    sb_look_command("/t", SB_METER_POWERCAP, small, sizeof small);
    assert_string_equal(small, "sudo chmod ");
}

static void meters_contradict_each_other_beyond_what_both_allow(void **state)
{
    (void)state;
    char root[64];
    sb_check_state t = {0};
    sb_sources s;
    make_root(root);
    put_tree(root, ZONE("intel-rapl:0", "package-0", "0") ZONE("intel-rapl:1", "psys", "0")
                       CHIP("0", "power_meter") HWMON
             "0/power1_average=100000000\n" BATTERY("BAT0", "Discharging", "100000000"));
    const sb_meter_roots roots = {.sysfs = root, .survey = true};
    open_as_user(&s, &roots);
    assert_int_equal(s.n_checks, 3);
    assert_null(sb_sources_check(&s, &t)); /* not begun */
    static const struct {
        const char *files; /* a hundred seconds, in pieces of ten */
        int joules;        /* in each, of the registers */
        const char *says;  /* NULL: they agree */
        const char *who;
    } moves[] = {
        {UJ("intel-rapl:0", "%d000000") UJ("intel-rapl:1", "%d000000"), 600, NULL, NULL},
        {UJ("intel-rapl:0", "%d000000") UJ("intel-rapl:1", "%d000000") SUPPLY
         "BAT0/power_now=10000000\n",
         600, "for the same", "battery"},
        {UJ("intel-rapl:0", "%d000000") UJ("intel-rapl:1", "%d000000") SUPPLY
         "BAT0/power_now=100000000\n",
         6000, "for a part", "server"},
    };
    int joules = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(moves); i++) {
        char files[512];
        const char *line = NULL;
        sb_sources_check_begin(&s, &t);
        t.begin_ns -= 100000000000u;
        for (int k = 0; k < 10; k++) {
            joules += moves[i].joules;
            (void)snprintf(files, sizeof files, moves[i].files, joules, joules);
            put_tree(root, files);
            date_back(s.main, 10000);
            for (int j = 0; j < s.n_checks; j++)
                date_back(s.checks[j], 10000);
            line = sb_sources_check(&s, &t);
        }
        if (!moves[i].says && line) fail_msg("%s", line);
        if (moves[i].says && (!line || !strstr(line, moves[i].says) || !strstr(line, moves[i].who)))
            fail_msg("move %d: %s", (int)i, line ? line : "nothing");
    }
    sb_sources_close(&s);
    drop_root(root);
}

static void a_meter_kept_beside_can_be_read(void **state)
{
    (void)state;
    char root[64];
    uint64_t uj = 7;
    make_root(root);
    put_tree(root, ZONE("intel-rapl:0", "package-0", "0") ZONE("intel-rapl:1", "psys", "0"));
    const sb_meter_roots roots = {.sysfs = root, .survey = true};
    sb_meter *m = NULL;
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    usleep(2000);
    put_tree(root, UJ("intel-rapl:0", "1000") UJ("intel-rapl:1", "1500"));
    assert_true(sb_meter_sum(m, SB_METER_PSYS, &uj));
    assert_int_equal(uj, 1500);
    assert_true(sb_meter_sum(m, SB_METER_POWERCAP, &uj));
    assert_int_equal(uj, 1000);
    put_tree(root, UJ("intel-rapl:1", "5"));
    assert_false(sb_meter_sum(m, SB_METER_PSYS, &uj));
    assert_false(sb_meter_sum(m, SB_METER_PLUG, &uj));
    sb_meter_close(m);
    drop_root(root);
}

/* From everything to nothing: whatever is best of what is left is chosen. */
static void the_best_that_is_left_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *gone; /* this folder, before the next look */
        sb_meter_kind next;
    } steps[] = {{"", SB_METER_POWERCAP},
                 {"sys/class/powercap/intel-rapl:0", SB_METER_PSYS},
                 {"sys/class/powercap", SB_METER_SERVER},
                 {"sys/class/hwmon/hwmon0", SB_METER_RAIL},
                 {"sys/class/hwmon", SB_METER_BATTERY},
                 {"sys/class/power_supply", SB_METER_DCMI}};
    char root[64], command[160];
    controller b = {
        .answer = {0, 0xdc, 0x2c, 1, 1, 0, 0xff, 1, 0, 1, 1, 2, 3, 4, 0xe8, 3, 0, 0, 0x40}};
    const sb_ipmi_calls calls = {open_controller, ask_controller, &b};
    const sb_meter_roots roots = {.sysfs = root, .ipmi = &calls, .survey = true};
    make_root(root);
    put_tree(root,
             ZONE("intel-rapl:0", "package-0", "0") ZONE("intel-rapl:1", "psys", "0")
                 CHIP("0", "power_meter") HWMON "0/power1_average=100000000\n" CHIP("1", "ina226")
                     HWMON "1/power1_input=4000000\n" BATTERY("BAT0", "Discharging", "100000000"));
    for (size_t i = 0; i < SB_ARRAY_LEN(steps); i++) {
        sb_sources s;
        (void)snprintf(command, sizeof command, "rm -rf %s/%s", root, steps[i].gone);
        if (i > 0) assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): made above
        open_as_user(&s, &roots);
        assert_int_equal(s.main->meter, steps[i].next);
        assert_int_equal(s.n_checks, SB_ARRAY_LEN(steps) - 1 - i);
        sb_sources_close(&s);
    }
    drop_root(root);
}

static void no_memory_is_said(void **state)
{
    (void)state;
    char root[64];
    static const sb_meter_roots roots = {.survey = true};
    sb_look look = {.sysfs = root, .roots = &roots};
    sb_counters c;
    sb_sources s;
    sb_meter *m = NULL;
    make_root(root);
    put_tree(root, BATTERY("BAT0", "Discharging", "100000000"));
    sb_alloc_forbid_begin();
    sb_find_battery(&c, &look);
    assert_int_equal(sb_sources_open(&s, &roots, NULL), SB_NO_MEMORY);
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_NO_MEMORY);
    sb_alloc_forbid_end();
    assert_true(c.no_memory && c.n == 0);
    assert_null(m);
    drop_root(root);
}

#define CASE(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_tree_gives_its_meter_and_its_sum),
        CASE(a_sensor_is_frozen_when_the_load_changes_without_it),
        CASE(what_a_meter_says_of_itself_is_kept),
        CASE(a_tree_says_who_else_is_busy),
        CASE(boards_are_added_to_the_packages),
        CASE(a_controller_is_the_last_before_the_estimate),
        CASE(a_meter_kept_beside_can_be_read),
        CASE(the_best_that_is_left_is_chosen),
        CASE(no_memory_is_said),
        CASE(the_command_names_the_tree),
        CASE(meters_contradict_each_other_beyond_what_both_allow),
    };
    return cmocka_run_group_tests_name("meters", tests, NULL, NULL);
}
