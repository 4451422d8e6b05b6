/* SPDX-License-Identifier: BSD-3-Clause */
/* Following a capture that has no end yet, until SIGINT, SIGTERM or a time limit. */
#ifndef NVC_ENGINE_FOLLOW_H
#define NVC_ENGINE_FOLLOW_H

#include "capture/replay.h"

struct follow;

/* follow_new begins to follow; signals end the following from then on, and `seconds` do if not 0. `keylog` (may be NULL) names a file of
 * secrets that may grow, of which the first `known` bytes have been read. NULL with `err` filled. */
struct follow *follow_new(const char *keylog, size_t known, const char *interface,
	unsigned int seconds, struct nvc_error *err);

/* follow_options returns what nvc_replay needs; valid as long as `follow` lives. */
const struct nvc_replay_follow *follow_options(const struct follow *follow);

/* follow_free wipes and frees; NULL is allowed. */
void follow_free(struct follow *follow);

#endif
