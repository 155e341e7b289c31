/* SPDX-License-Identifier: Apache-2.0
 * screen_test.c - an answer's thoughts and words on their ways to people. */
#include "cli/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static bool show(sb_screen *s, sb_output_kind kind, const char *text)
{
    const sb_output_event e = {.kind = kind, .text = {text, strlen(text)}};
    return sb_screen_show(s, &e);
}

/* What lies in a pipe or terminal when everything was written. A terminal passes it on a moment
 * later, and in pieces. */
static const char *read_all(int fd)
{
    static char text[512];
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (n + 1 < sizeof text && poll(&p, 1, n ? 50 : 5000) == 1) {
        const ssize_t got = read(fd, text + n, sizeof text - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    text[n] = 0;
    return text;
}

static void thoughts_and_words_part(void **state)
{
    (void)state;
    int words[2], thoughts[2];
    sb_out o;
    assert_int_equal(pipe(words), 0);
    assert_int_equal(pipe(thoughts), 0);
    sb_out_init(&o, words[1]);
    sb_screen s = {.out = &o, .thoughts_fd = thoughts[1]};
    assert_true(show(&s, SB_OUTPUT_REASONING, "hm\x1b["));
    assert_true(show(&s, SB_OUTPUT_CONTENT, ""));
    assert_true(show(&s, SB_OUTPUT_CONTENT, "yes\x1b"));
    sb_screen_end(&s);
    assert_string_equal(read_all(thoughts[0]), "hm\\x1B[\n\n");
    assert_string_equal(read_all(words[0]), "yes\x1b"); /* a pipe gets the bytes as they are */
    assert_int_equal(close(words[0]), 0);
    s.thoughts_fd = -1;
    assert_true(show(&s, SB_OUTPUT_REASONING, "nobody looks"));
    assert_false(show(&s, SB_OUTPUT_CONTENT, "nobody reads"));
    (void)close(words[1]), (void)close(thoughts[0]), (void)close(thoughts[1]);
}

static void a_terminal_gets_thoughts_dimmed(void **state)
{
    (void)state;
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int fd = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct termios raw;
    assert_true(fd >= 0 && tcgetattr(fd, &raw) == 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(fd, TCSANOW, &raw), 0);
    (void)setenv("TERM", "xterm", 1);
    (void)unsetenv("NO_COLOR");
    sb_out o;
    sb_out_init(&o, fd);
    sb_screen s = sb_screen_begin(&o);
    assert_true(show(&s, SB_OUTPUT_REASONING, "hm"));
    assert_true(show(&s, SB_OUTPUT_CONTENT, "a\x1b[2J"));
    sb_screen_end(&s);
    assert_string_equal(read_all(master), "\033[2mhm\033[0m\n\na\\x1B[2J\n");
    (void)setenv("NO_COLOR", "1", 1);
    s = sb_screen_begin(&o);
    assert_true(show(&s, SB_OUTPUT_REASONING, "cut"));
    sb_screen_end(&s);
    assert_string_equal(read_all(master), "cut\n");
    (void)close(fd), (void)close(master);
}

static void ignore_pipes(void)
{
    struct sigaction sa = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &sa, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(thoughts_and_words_part),
                                       cmocka_unit_test(a_terminal_gets_thoughts_dimmed)};
    ignore_pipes();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
