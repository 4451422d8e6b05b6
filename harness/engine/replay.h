/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's `replay`: one capture file, judged, as events. */
#ifndef NVC_ENGINE_REPLAY_H
#define NVC_ENGINE_REPLAY_H

#include <jansson.h>
#include <stdio.h>

#include "wire/result.h"

/* engine_replay judges the file that `config` names ("file"; "keylog": a file of TLS secrets beside it; "judge": "host",
 * "controller" or both; "conversation": false leaves the PDUs out) and writes events to standard output. NVC_OK whatever the verdict; NVC_E_INVALID for a file that
 * cannot be read or is no capture. */
enum nvc_result engine_replay(const json_t *config, struct nvc_error *err);

/* replay_read_keylog reads a file of TLS secrets; the caller wipes and frees `text`. */
enum nvc_result replay_read_keylog(
	const char *path, char **text, size_t *len, struct nvc_error *err);

/* replay_open_capture opens an ordinary file to be read as a capture. */
enum nvc_result replay_open_capture(const char *path, FILE **in, struct nvc_error *err);

#endif
