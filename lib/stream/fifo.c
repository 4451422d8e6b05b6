/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/fifo.h"

#include <stdlib.h>
#include <string.h>

static bool reserve(struct nvc_fifo *queue, size_t more)
{
	size_t cap = queue->cap ? queue->cap : 1024;
	uint8_t *data;

	if (more <= queue->cap - queue->start - queue->len)
		return true;
	if (queue->start) {
		memmove(queue->data, queue->data + queue->start, queue->len);
		queue->start = 0;
	}
	if (more <= queue->cap - queue->len)
		return true;
	if (more > SIZE_MAX / 4 - queue->len)
		return false;
	while (cap - queue->len < more)
		cap *= 2;
	data = realloc(queue->data, cap);
	if (!data)
		return false;
	queue->data = data;
	queue->cap = cap;
	return true;
}

bool nvc_fifo_put(struct nvc_fifo *queue, struct nvc_slice bytes)
{
	if (!bytes.len)
		return true;
	if (!reserve(queue, bytes.len))
		return false;
	memcpy(queue->data + queue->start + queue->len, bytes.data, bytes.len);
	queue->len += bytes.len;
	return true;
}

size_t nvc_fifo_take(struct nvc_fifo *queue, uint8_t *out, size_t size)
{
	if (size > queue->len)
		size = queue->len;
	if (!size)
		return 0;
	memcpy(out, queue->data + queue->start, size);
	nvc_fifo_drop(queue, size);
	return size;
}

struct nvc_slice nvc_fifo_peek(const struct nvc_fifo *queue)
{
	if (!queue->len)
		return (struct nvc_slice){NULL, 0};
	return nvc_slice_of(queue->data + queue->start, queue->len);
}

void nvc_fifo_drop(struct nvc_fifo *queue, size_t len)
{
	if (len > queue->len)
		len = queue->len;
	queue->start += len;
	queue->len -= len;
	if (!queue->len)
		queue->start = 0;
}

void nvc_fifo_fini(struct nvc_fifo *queue)
{
	free(queue->data);
	*queue = (struct nvc_fifo){0};
}
