/* SPDX-License-Identifier: Apache-2.0
 * table.c - which levels this CPU can run, and the table filled up to one of them.
 *
 * A level counts only when the CPU has its instructions and the system saves its registers. On x86
 * a kernel or hypervisor may hide the latter (XCR0) while CPUID shows the former; on ARM the kernel
 * tells what a program may use. Levels of another architecture are not built; their rows stay, and
 * say no. */
#include "kernels/internal.h"

#include <string.h>

static bool cpu_has_ref(void)
{
    return true;
}

#if SB_KERNELS_X86
#include <cpuid.h>

enum {
    XCR0_AVX = 0x6,     /* SSE and AVX registers */
    XCR0_AVX512 = 0xe6, /* and the masks, the upper halves, the upper sixteen */
};

/* Bits of leaf 1 ecx, leaf 7 ebx and ecx, and XCR0 that a level asks for. */
typedef struct cpu_needs {
    uint32_t l1_ecx, l7_ebx, l7_ecx, xcr0;
} cpu_needs;

static bool cpu_meets(const cpu_needs *n)
{
    uint32_t a, b, c, d, xcr0, xcr0_high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & n->l1_ecx) != n->l1_ecx) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if ((b & n->l7_ebx) != n->l7_ebx || (c & n->l7_ecx) != n->l7_ecx) return false;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(xcr0_high) : "c"(0)); // OSXSAVE was tested above
    return (xcr0 & n->xcr0) == n->xcr0;
}

static bool cpu_has_avx2(void)
{
    return cpu_meets(&(cpu_needs){.l1_ecx = bit_FMA | bit_F16C | bit_AVX | bit_OSXSAVE,
                                  .l7_ebx = bit_AVX2,
                                  .xcr0 = XCR0_AVX});
}

/* The bit is in a subleaf of leaf 7, which tells in eax how many it has. */
static bool cpu_has_avxvnni(void)
{
    const uint32_t avx_vnni = 1u << 4; // cpuid.h of clang 14 has no name for it
    uint32_t a, b, c, d;
    if (!cpu_has_avx2() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || a < 1) return false;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & avx_vnni);
}

static bool cpu_has_avx512(void)
{
    const uint32_t ebx = (uint32_t)bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    return cpu_has_avx2() && cpu_meets(&(cpu_needs){.l1_ecx = bit_OSXSAVE,
                                                    .l7_ebx = ebx,
                                                    .l7_ecx = bit_AVX512VNNI,
                                                    .xcr0 = XCR0_AVX512});
}
#else
#define cpu_has_avx2() false
#define cpu_has_avxvnni() false
#define cpu_has_avx512() false
#define sb_kernels_fill_avx2_ops(k) (void)(k)
#define sb_kernels_fill_avx2_mm(k) (void)(k)
#define sb_kernels_fill_avxvnni_ops(k) (void)(k)
#define sb_kernels_fill_avxvnni_mm(k) (void)(k)
#define sb_kernels_fill_avx512_ops(k) (void)(k)
#define sb_kernels_fill_avx512_mm(k) (void)(k)
#endif

#if SB_KERNELS_ARM
#include <asm/hwcap.h>
#include <sys/auxv.h>

/* NEON itself is part of every 64-bit ARM. Beside the dot products: what their compiler flags
 * (ARMv8.2) leave the compiler free to use. */
static bool cpu_has_neon(void)
{
    const unsigned long needs = HWCAP_ASIMDDP | HWCAP_ASIMDRDM | HWCAP_ATOMICS | HWCAP_CRC32;
    return (getauxval(AT_HWCAP) & needs) == needs;
}
#else
#define cpu_has_neon() false
#define sb_kernels_fill_neon_ops(k) (void)(k)
#define sb_kernels_fill_neon_mm(k) (void)(k)
#endif

const char *sb_kv_name(sb_kv_type t)
{
    static const char *const names[SB_KV_TYPE_COUNT] = {
        [SB_KV_F32] = "f32", [SB_KV_BF16] = "bf16", [SB_KV_I8] = "int8"};
    return t < SB_KV_TYPE_COUNT ? names[t] : "?";
}

const char *sb_level_name(sb_level l)
{
    static const char *const names[] = {
#define X(name) #name,
        SB_KERNEL_LEVELS(X)
#undef X
    };
    return l < SB_LEVEL_COUNT ? names[l] : "?";
}

sb_level sb_level_best(void)
{
    sb_level best = SB_LEVEL_ref;
#define X(name)                                                                                    \
    if (cpu_has_##name()) best = SB_LEVEL_##name;
    SB_KERNEL_LEVELS(X)
#undef X
    return best;
}

void sb_kernels_init(sb_kernels *k, sb_level cap)
{
    memset(k, 0, sizeof *k);
#define X(name)                                                                                    \
    if (SB_LEVEL_##name <= cap && cpu_has_##name()) {                                              \
        sb_kernels_fill_##name##_ops(k);                                                           \
        sb_kernels_fill_##name##_mm(k);                                                            \
        k->level = SB_LEVEL_##name;                                                                \
    }
    SB_KERNEL_LEVELS(X)
#undef X
}
