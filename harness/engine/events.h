/* SPDX-License-Identifier: BSD-3-Clause */
/* The event stream (JSON Lines): the single source for the terminal, KTAP, JUnit, baselines and the kill matrix. */
#ifndef NVC_ENGINE_EVENTS_H
#define NVC_ENGINE_EVENTS_H

#include <jansson.h>
#include <stdbool.h>

/* events_write writes `event` as one line to `fd` and takes its reference; a NULL event is a lack of memory. Returns whether the
 * line went out. */
bool events_write(int fd, json_t *event);

/* events_text returns a JSON text of `text`, with what is not UTF-8 (a peer may send anything) replaced by '?'. */
json_t *events_text(const char *text);

#endif
