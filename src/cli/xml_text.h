/* SPDX-License-Identifier: Apache-2.0
 * xml_text.h - text in XML and HTML: element content and quoted attributes. */
#ifndef SB_CLI_XML_TEXT_H
#define SB_CLI_XML_TEXT_H
#include "base/base.h"
#include "base/buf.h"

/* Appends s with & < > " ' as references; what XML forbids, and broken UTF-8, becomes U+FFFD. */
sb_status sb_xml_text(sb_buf *out, sb_str s, sb_error *err) SB_MUST_USE;
/* The same of a C string between two texts that are markup already. */
sb_status sb_xml_add(sb_buf *out, const char *before, const char *text, const char *after,
                     sb_error *err) SB_MUST_USE;
#endif
