/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/file.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "capture/frame.h"
#include "capture/pcapng.h"

enum {
	BLOCK_HEAD = 8,
	BLOCK_MIN = 12,
	SECRETS_HEAD = 8,
	MAX_SECRETS = 16 << 20, /* bytes of one block of secrets */
};

/* ---- secrets ---- */

struct walk {
	FILE *in;
	bool swapped; /* the section is in the other byte order */
	struct nvc_keylog *keylog;
	size_t num;
};

static uint32_t get(const struct walk *walk, const uint8_t *in)
{
	const uint32_t value = (uint32_t)nvc_get_le(in, 4);

	return walk->swapped ? __builtin_bswap32(value) : value;
}

/* Takes the body of a block of secrets, `len` bytes with its type and length. */
static bool take_secrets(struct walk *walk, size_t len)
{
	uint8_t head[SECRETS_HEAD];
	uint8_t *text;
	size_t text_len;

	if (len < SECRETS_HEAD || len > MAX_SECRETS || fread(head, sizeof(head), 1, walk->in) != 1)
		return false;
	len -= sizeof(head);
	text = malloc(len + 1);
	if (!text || fread(text, 1, len, walk->in) != len) {
		free(text);
		return false;
	}
	text_len = get(walk, head + 4);
	if (get(walk, head) == NVC_PCAPNG_TLS_KEY_LOG)
		walk->num += nvc_keylog_add(
			walk->keylog, nvc_slice_of(text, text_len < len ? text_len : len));
	explicit_bzero(text, len);
	free(text);
	return true;
}

/* Takes one block; false at the end, or where the blocks make no sense. */
static bool take_block(struct walk *walk)
{
	uint8_t head[BLOCK_HEAD], magic[4];
	size_t total, taken = BLOCK_HEAD;

	if (fread(head, sizeof(head), 1, walk->in) != 1)
		return false;
	if (nvc_get_le(head, 4) == NVC_PCAPNG_SECTION) {
		if (fread(magic, sizeof(magic), 1, walk->in) != 1)
			return false;
		taken += sizeof(magic);
		walk->swapped = nvc_get_le(magic, 4) == __builtin_bswap32(NVC_PCAPNG_MAGIC);
		if (!walk->swapped && nvc_get_le(magic, 4) != NVC_PCAPNG_MAGIC)
			return false;
	}
	total = get(walk, head + 4);
	if (total < BLOCK_MIN || total % 4 || total < taken)
		return false;
	if (get(walk, head) == NVC_PCAPNG_SECRETS)
		return take_secrets(walk, total - taken - 4) && fseek(walk->in, 4, SEEK_CUR) == 0;
	return fseek(walk->in, (long)(total - taken), SEEK_CUR) == 0;
}

size_t nvc_file_secrets(FILE *in, struct nvc_keylog *keylog)
{
	struct walk walk = {.in = in, .keylog = keylog};
	uint8_t first[4];

	if (fread(first, sizeof(first), 1, in) == 1 && nvc_get_le(first, 4) == NVC_PCAPNG_SECTION) {
		rewind(in);
		while (take_block(&walk))
			;
	}
	rewind(in);
	return walk.num;
}

/* ---- packets ---- */

struct nvc_file {
	pcap_t *pcap;
	int link;
	uint64_t frame;
};

enum nvc_result nvc_file_open(FILE *in, struct nvc_file **out, struct nvc_error *err)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	struct nvc_file *file = calloc(1, sizeof(*file));

	*out = NULL;
	if (!file) {
		fclose(in);
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a capture file");
	}
	file->pcap = pcap_fopen_offline_with_tstamp_precision(in, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!file->pcap) {
		fclose(in);
		free(file);
		return nvc_fail(err, NVC_E_MALFORMED, "is not a capture: %s", why);
	}
	file->link = pcap_datalink(file->pcap);
	if (!nvc_frame_link_known(file->link)) {
		const char *name = pcap_datalink_val_to_name(file->link);

		nvc_fail(err, NVC_E_INVALID, "has link type %d (%s), which is not understood",
			file->link, name ? name : "unknown");
		nvc_file_close(file);
		return NVC_E_INVALID;
	}
	*out = file;
	return NVC_OK;
}

enum nvc_result nvc_file_next(
	struct nvc_file *file, struct nvc_packet *packet, struct nvc_error *err)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	const int result = pcap_next_ex(file->pcap, &header, &data);

	if (result == PCAP_ERROR_BREAK)
		return NVC_E_CLOSED;
	if (result != 1)
		return nvc_fail(err, NVC_E_TRUNCATED, "breaks off after packet %llu: %s",
			(unsigned long long)file->frame, pcap_geterr(file->pcap));
	/* With the precision asked for, tv_usec holds nanoseconds. A time from before 1970 is some broken clock's. */
	packet->time = header->ts.tv_sec < 0 ? 0
					     : (uint64_t)header->ts.tv_sec * 1000000000u +
						       (uint64_t)header->ts.tv_usec;
	packet->frame = ++file->frame;
	packet->data = nvc_slice_of(data, header->caplen);
	packet->wire_len = header->len > header->caplen ? header->len : header->caplen;
	return NVC_OK;
}

int nvc_file_link(const struct nvc_file *file)
{
	return file->link;
}

void nvc_file_close(struct nvc_file *file)
{
	if (!file)
		return;
	pcap_close(file->pcap);
	free(file);
}
