/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/history.h"

#include <stdlib.h>
#include <string.h>

struct nvc_history_part {
	struct nvc_history_part **owner; /* NULL: free */
	uint32_t end;			 /* sequence number behind the last byte */
	size_t len;
	uint8_t bytes[NVC_HISTORY_LEN]; /* each at its sequence number, modulo the size */
};

struct nvc_history {
	struct nvc_history_part *parts[NVC_HISTORY_STREAMS];
	size_t next; /* part to be given away */
};

struct nvc_history *nvc_history_new(void)
{
	return calloc(1, sizeof(struct nvc_history));
}

void nvc_history_free(struct nvc_history *history)
{
	if (!history)
		return;
	for (size_t i = 0; i < NVC_HISTORY_STREAMS; i++)
		free(history->parts[i]);
	free(history);
}

void nvc_history_release(struct nvc_history_part **part)
{
	if (*part)
		(*part)->owner = NULL;
	*part = NULL;
}

/* Gives a part to a stream that has none. */
static void give(struct nvc_history *history, struct nvc_history_part **part)
{
	struct nvc_history_part **place = &history->parts[history->next];

	if (!*place)
		*place = calloc(1, sizeof(**place));
	if (!*place)
		return;
	history->next = (history->next + 1) % NVC_HISTORY_STREAMS;
	if ((*place)->owner)
		*(*place)->owner = NULL;
	(*place)->owner = part;
	(*place)->len = 0;
	*part = *place;
}

void nvc_history_add(struct nvc_history *history, struct nvc_history_part **part, uint32_t seq,
	struct nvc_slice data)
{
	const size_t skipped = data.len > NVC_HISTORY_LEN ? data.len - NVC_HISTORY_LEN : 0;
	const struct nvc_slice kept = nvc_slice_sub(data, skipped, data.len);
	const size_t at = (seq + skipped) % NVC_HISTORY_LEN, room = NVC_HISTORY_LEN - at;
	const size_t first = kept.len < room ? kept.len : room;

	if (!*part)
		give(history, part);
	if (!*part)
		return;
	memcpy((*part)->bytes + at, kept.data, first);
	memcpy((*part)->bytes, kept.data + first, kept.len - first);
	(*part)->end = seq + (uint32_t)data.len;
	(*part)->len += data.len;
	if ((*part)->len > NVC_HISTORY_LEN)
		(*part)->len = NVC_HISTORY_LEN;
}

bool nvc_history_differs(const struct nvc_history_part *part, uint32_t seq, struct nvc_slice data)
{
	for (size_t i = 0; part && i < data.len; i++) {
		const uint32_t at = seq + (uint32_t)i, back = part->end - at;

		if (back > 0 && back <= part->len &&
			part->bytes[at % NVC_HISTORY_LEN] != data.data[i])
			return true;
	}
	return false;
}
