/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way: first in, first out, growing as needed. Shared by the streams. */
#ifndef NVC_STREAM_FIFO_H
#define NVC_STREAM_FIFO_H

#include "wire/bytes.h"

/* The zero value is an empty queue. */
struct nvc_fifo {
	uint8_t *data;
	size_t start;
	size_t len;
	size_t cap;
};

/* nvc_fifo_put appends a copy of `bytes`; false without memory, then nothing was appended. */
bool nvc_fifo_put(struct nvc_fifo *queue, struct nvc_slice bytes);

/* nvc_fifo_take moves at most `size` bytes to `out` and returns how many. */
size_t nvc_fifo_take(struct nvc_fifo *queue, uint8_t *out, size_t size);

/* nvc_fifo_peek returns all bytes of the queue; valid until the next put. */
struct nvc_slice nvc_fifo_peek(const struct nvc_fifo *queue);

/* nvc_fifo_drop forgets the first `len` bytes, at most all. */
void nvc_fifo_drop(struct nvc_fifo *queue, size_t len);

/* nvc_fifo_fini frees the memory; the queue is empty and usable afterwards. */
void nvc_fifo_fini(struct nvc_fifo *queue);

#endif
