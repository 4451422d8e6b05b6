/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last bytes of streams, to hold what is sent again against them: a repetition that differs means that the capture does not
 * tell what the receiver got. In bounded memory: of more streams than that those are forgotten first that are remembered longest.
 */
#ifndef NVC_CAPTURE_HISTORY_H
#define NVC_CAPTURE_HISTORY_H

#include "wire/bytes.h"

enum {
	NVC_HISTORY_LEN = 8192, /* bytes of a stream; a power of two, as sequence numbers wrap */
	NVC_HISTORY_STREAMS = 512,
};

struct nvc_history;

/* What is remembered of one stream: a part of the history that owns it, which may take it away; zero: nothing. */
struct nvc_history_part;

/* nvc_history_new returns an empty history, or NULL without memory. */
struct nvc_history *nvc_history_new(void);

/* nvc_history_free forgets everything; NULL is allowed. The parts that it gave must not be used any more. */
void nvc_history_free(struct nvc_history *history);

/* nvc_history_add remembers `data`, the next bytes of a stream, at sequence number `seq`. `part` is the stream's own and must stay
 * where it is until nvc_history_release. Without memory nothing is remembered. */
void nvc_history_add(struct nvc_history *history, struct nvc_history_part **part, uint32_t seq,
	struct nvc_slice data);

/* nvc_history_differs tells whether `data` at `seq` differs from what is remembered there; what is not is like it. */
bool nvc_history_differs(const struct nvc_history_part *part, uint32_t seq, struct nvc_slice data);

/* nvc_history_release forgets the stream. */
void nvc_history_release(struct nvc_history_part **part);

#endif
