/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/pcapng.h"

#include <stdlib.h>
#include <string.h>

enum {
	OPT_END = 0,
	OPT_COMMENT = 1,
	OPT_SHB_USERAPPL = 4,
	OPT_IF_NAME = 2,
	OPT_IF_TSRESOL = 9,
	NAME_END = 0,
	NAME_IPV4 = 1,
	NAME_IPV6 = 2,
	NANOSECONDS = 9, /* 10^-9 */
	LONGEST_OPTION = 4096,
};

void nvc_pcapng_init(struct nvc_pcapng *out, size_t limit)
{
	*out = (struct nvc_pcapng){.limit = limit};
}

void nvc_pcapng_fini(struct nvc_pcapng *out)
{
	if (out->data)
		explicit_bzero(out->data, out->len);
	free(out->data);
	*out = (struct nvc_pcapng){0};
}

static bool reserve(struct nvc_pcapng *out, size_t more)
{
	size_t cap = out->cap ? out->cap : 65536;
	uint8_t *data;

	if (out->failed || more > out->limit || out->len > out->limit - more) {
		out->failed = true;
		return false;
	}
	while (cap < out->len + more)
		cap *= 2;
	if (cap == out->cap)
		return true;
	/* No realloc: it would leave a copy of the secrets behind. */
	data = malloc(cap);
	if (!data) {
		out->failed = true;
		return false;
	}
	if (out->data) {
		memcpy(data, out->data, out->len);
		explicit_bzero(out->data, out->len);
	}
	free(out->data);
	out->data = data;
	out->cap = cap;
	return true;
}

static void put(struct nvc_pcapng *out, uint64_t value, size_t size)
{
	if (!reserve(out, size))
		return;
	nvc_put_le(out->data + out->len, value, size);
	out->len += size;
}

static void put_padded(struct nvc_pcapng *out, struct nvc_slice in)
{
	const size_t padding = (4 - in.len % 4) % 4;

	if (!reserve(out, in.len + padding))
		return;
	if (in.len)
		memcpy(out->data + out->len, in.data, in.len);
	memset(out->data + out->len + in.len, 0, padding);
	out->len += in.len + padding;
}

static void put_option(struct nvc_pcapng *out, uint16_t code, const char *text)
{
	struct nvc_slice value;

	if (!text || !text[0])
		return;
	value = nvc_slice_sub(nvc_slice_str(text), 0, LONGEST_OPTION);
	put(out, code, 2);
	put(out, value.len, 2);
	put_padded(out, value);
}

/* A block is begun with a total length that end_block fills in, and ends with the same length. */
static size_t begin_block(struct nvc_pcapng *out, uint32_t type)
{
	const size_t start = out->len;

	put(out, type, 4);
	put(out, 0, 4);
	return start;
}

static void end_block(struct nvc_pcapng *out, size_t start)
{
	const size_t total = out->len + 4 - start;

	put(out, total, 4);
	if (!out->failed)
		nvc_put_le(out->data + start + 4, total, 4);
	else
		out->len = start;
}

void nvc_pcapng_section(struct nvc_pcapng *out, const char *application, const char *comment)
{
	const size_t start = begin_block(out, NVC_PCAPNG_SECTION);

	put(out, NVC_PCAPNG_MAGIC, 4);
	put(out, 1, 2); /* version 1.0 */
	put(out, 0, 2);
	put(out, UINT64_MAX, 8); /* the length of the section is not given */
	put_option(out, OPT_COMMENT, comment);
	put_option(out, OPT_SHB_USERAPPL, application);
	put(out, OPT_END, 4);
	end_block(out, start);
}

void nvc_pcapng_interface(struct nvc_pcapng *out, uint16_t link, const char *name)
{
	const size_t start = begin_block(out, NVC_PCAPNG_INTERFACE);
	const uint8_t resolution = NANOSECONDS;

	put(out, link, 2);
	put(out, 0, 2);
	put(out, 0, 4); /* no snap length */
	put_option(out, OPT_IF_NAME, name);
	put(out, OPT_IF_TSRESOL, 2);
	put(out, 1, 2);
	put_padded(out, nvc_slice_of(&resolution, 1));
	put(out, OPT_END, 4);
	end_block(out, start);
}

void nvc_pcapng_secrets(struct nvc_pcapng *out, struct nvc_slice keylog)
{
	const size_t start = begin_block(out, NVC_PCAPNG_SECRETS);

	put(out, NVC_PCAPNG_TLS_KEY_LOG, 4);
	put(out, keylog.len, 4);
	put_padded(out, keylog);
	end_block(out, start);
}

void nvc_pcapng_names(struct nvc_pcapng *out, const struct nvc_pcapng_name *names, size_t num_names)
{
	const size_t start = begin_block(out, NVC_PCAPNG_NAMES);

	for (size_t i = 0; i < num_names; i++) {
		const size_t name_len = strlen(names[i].name) + 1; /* the NUL belongs to it */
		const size_t len = names[i].address.len + name_len;

		put(out, names[i].address.len == 4 ? NAME_IPV4 : NAME_IPV6, 2);
		put(out, len, 2);
		for (size_t at = 0; at < names[i].address.len; at++)
			put(out, names[i].address.data[at], 1);
		for (size_t at = 0; at < name_len; at++)
			put(out, (uint8_t)names[i].name[at], 1);
		put(out, 0, (4 - len % 4) % 4);
	}
	put(out, NAME_END, 4);
	end_block(out, start);
}

void nvc_pcapng_packet(struct nvc_pcapng *out, uint64_t time, struct nvc_slice frame,
	const char *const *comments, size_t num_comments)
{
	const size_t start = begin_block(out, NVC_PCAPNG_PACKET);

	put(out, 0, 4); /* interface */
	put(out, time >> 32, 4);
	put(out, time, 4);
	put(out, frame.len, 4);
	put(out, frame.len, 4);
	put_padded(out, frame);
	for (size_t i = 0; i < num_comments; i++)
		put_option(out, OPT_COMMENT, comments[i]);
	if (num_comments)
		put(out, OPT_END, 4);
	end_block(out, start);
}
