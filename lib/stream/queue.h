/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way: first in, first out, growing as needed. Shared by the streams. */
#ifndef NVC_STREAM_QUEUE_H
#define NVC_STREAM_QUEUE_H

#include "wire/bytes.h"

/* The zero value is an empty queue. */
struct nvc_queue {
	uint8_t *data;
	size_t start;
	size_t len;
	size_t cap;
};

/* nvc_queue_put appends a copy of `bytes`; false without memory, then nothing was appended. */
bool nvc_queue_put(struct nvc_queue *queue, struct nvc_slice bytes);

/* nvc_queue_take moves at most `size` bytes to `out` and returns how many. */
size_t nvc_queue_take(struct nvc_queue *queue, uint8_t *out, size_t size);

/* nvc_queue_peek returns all bytes of the queue; valid until the next put. */
struct nvc_slice nvc_queue_peek(const struct nvc_queue *queue);

/* nvc_queue_drop forgets the first `len` bytes, at most all. */
void nvc_queue_drop(struct nvc_queue *queue, size_t len);

/* nvc_queue_fini frees the memory; the queue is empty and usable afterwards. */
void nvc_queue_fini(struct nvc_queue *queue);

#endif
