/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/file.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "capture/frame.h"
#include "capture/interface.h"
#include "capture/pcapng.h"

enum {
	BLOCK_HEAD = 8,
	BLOCK_MIN = 12,
	BLOCK_TAIL = 4, /* the length once more */
	SECRETS_HEAD = 8,
	MAX_SECRETS = 16 << 20, /* bytes of one block of secrets */
	STEP = 1 << 16,
	HAND_OVER_MS = 100, /* after which the kernel gives what it has */
};

/* ---- secrets ---- */

struct nvc_file_walk {
	struct nvc_keylog *keylog;
	size_t num;
	bool over;    /* what follows is no pcapng */
	bool swapped; /* the section is in the other byte order */
	bool begun;   /* the first block was a section */
	uint8_t head[BLOCK_HEAD + 4];
	size_t head_len;
	uint64_t skip;	  /* bytes until the next block */
	uint8_t *secrets; /* body of a block of secrets that is not whole */
	size_t secrets_len, secrets_size;
};

struct nvc_file_walk *nvc_file_walk_new(struct nvc_keylog *keylog)
{
	struct nvc_file_walk *walk = calloc(1, sizeof(*walk));

	if (walk)
		walk->keylog = keylog;
	return walk;
}

static void drop_secrets(struct nvc_file_walk *walk)
{
	if (walk->secrets)
		explicit_bzero(walk->secrets, walk->secrets_len);
	free(walk->secrets);
	walk->secrets = NULL;
	walk->secrets_len = walk->secrets_size = 0;
}

void nvc_file_walk_free(struct nvc_file_walk *walk)
{
	if (walk)
		drop_secrets(walk);
	free(walk);
}

static uint32_t get(const struct nvc_file_walk *walk, const uint8_t *in)
{
	const uint32_t value = (uint32_t)nvc_get_le(in, 4);

	return walk->swapped ? __builtin_bswap32(value) : value;
}

/* Takes a block of secrets, whole but for its head. */
static void take_secrets(struct nvc_file_walk *walk)
{
	const size_t len = walk->secrets_size - SECRETS_HEAD;
	const size_t text_len = get(walk, walk->secrets + 4);

	if (get(walk, walk->secrets) == NVC_PCAPNG_TLS_KEY_LOG)
		walk->num += nvc_keylog_add(walk->keylog, nvc_slice_of(walk->secrets + SECRETS_HEAD,
								  text_len < len ? text_len : len));
	drop_secrets(walk);
}

/* The head of a block is there: what of it has to be passed over or kept. */
static bool take_head(struct nvc_file_walk *walk)
{
	const bool section = nvc_get_le(walk->head, 4) == NVC_PCAPNG_SECTION;
	uint32_t total, magic;

	if (section) {
		magic = (uint32_t)nvc_get_le(walk->head + BLOCK_HEAD, 4);
		walk->swapped = magic == __builtin_bswap32(NVC_PCAPNG_MAGIC);
		walk->begun = walk->swapped || magic == NVC_PCAPNG_MAGIC;
	}
	total = get(walk, walk->head + 4);
	if (!walk->begun || total < BLOCK_MIN || total % 4 || total < walk->head_len)
		return false;
	walk->skip = total - walk->head_len;
	if (get(walk, walk->head) == NVC_PCAPNG_SECRETS) {
		walk->secrets_size = total - BLOCK_HEAD - BLOCK_TAIL;
		if (walk->secrets_size < SECRETS_HEAD || walk->secrets_size > MAX_SECRETS)
			return false;
		walk->skip = BLOCK_TAIL;
		walk->secrets = malloc(walk->secrets_size);
		return walk->secrets != NULL;
	}
	return true;
}

/* The head of a section has its byte order in it, so it is longer. */
static size_t head_size(const struct nvc_file_walk *walk)
{
	return walk->head_len >= 4 && nvc_get_le(walk->head, 4) == NVC_PCAPNG_SECTION
		       ? BLOCK_HEAD + 4
		       : BLOCK_HEAD;
}

void nvc_file_walk_feed(struct nvc_file_walk *walk, struct nvc_slice bytes)
{
	while (bytes.len && !walk->over) {
		size_t len = bytes.len;

		if (walk->secrets) {
			const size_t room = walk->secrets_size - walk->secrets_len;

			len = len < room ? len : room;
			memcpy(walk->secrets + walk->secrets_len, bytes.data, len);
			walk->secrets_len += len;
			if (walk->secrets_len == walk->secrets_size)
				take_secrets(walk);
		} else if (walk->skip) {
			len = len < walk->skip ? len : (size_t)walk->skip;
			walk->skip -= len;
		} else {
			const size_t room =
				(walk->head_len < 4 ? 4 : head_size(walk)) - walk->head_len;

			len = len < room ? len : room;
			memcpy(walk->head + walk->head_len, bytes.data, len);
			walk->head_len += len;
			if (walk->head_len > 4 && walk->head_len == head_size(walk)) {
				walk->over = !take_head(walk);
				walk->head_len = 0;
			}
		}
		bytes = nvc_slice_sub(bytes, len, bytes.len);
	}
}

size_t nvc_file_secrets(FILE *in, struct nvc_keylog *keylog)
{
	struct nvc_file_walk *walk = nvc_file_walk_new(keylog);
	uint8_t *step = malloc(STEP);
	size_t len, num = 0;

	while (walk && step && !walk->over && (len = fread(step, 1, STEP, in)) > 0)
		nvc_file_walk_feed(walk, nvc_slice_of(step, len));
	if (walk)
		num = walk->num;
	if (step)
		explicit_bzero(step, STEP);
	free(step);
	nvc_file_walk_free(walk);
	rewind(in);
	return num;
}

/* ---- packets ---- */

struct nvc_file {
	pcap_t *pcap;
	int link;
	uint64_t frame;
	bool live; /* the source has no end of its own */
	struct nvc_file_patience patience;
	struct nvc_file_walk *walk;
	FILE *growing; /* what the FILE of libpcap reads from */
};

static enum nvc_result check_link(struct nvc_file *file, struct nvc_error *err)
{
	const char *name;

	file->link = pcap_datalink(file->pcap);
	if (nvc_frame_link_known(file->link))
		return NVC_OK;
	name = pcap_datalink_val_to_name(file->link);
	return nvc_fail(err, NVC_E_INVALID, "has link type %d (%s), which is not understood",
		file->link, name ? name : "unknown");
}

/* What a file is packed with, by its first bytes; NULL: it is not. */
static const char *packing_of(FILE *in)
{
	static const struct {
		const char *name, *magic;
	} rows[] = {{"gzip", "\x1f\x8b"}, {"zstd", "\x28\xb5\x2f\xfd"},
		{"xz", "\xfd"
		       "7zXZ"},
		{"bzip2", "BZh"}, {"lz4", "\x04\x22\x4d\x18"}};
	uint8_t head[8];
	const size_t len = fread(head, 1, sizeof(head), in);

	rewind(in);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t magic_len = strlen(rows[i].magic);

		if (len >= magic_len && memcmp(head, rows[i].magic, magic_len) == 0)
			return rows[i].name;
	}
	return NULL;
}

/* Takes over `in`, which libpcap reads through `file`. */
static enum nvc_result open_pcap(FILE *in, struct nvc_file *file, struct nvc_error *err)
{
	char why[PCAP_ERRBUF_SIZE] = "";

	file->pcap = pcap_fopen_offline_with_tstamp_precision(in, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!file->pcap) {
		fclose(in);
		return nvc_fail(err, NVC_E_MALFORMED, "is not a capture: %s", why);
	}
	return check_link(file, err);
}

enum nvc_result nvc_file_open(FILE *in, struct nvc_file **out, struct nvc_error *err)
{
	const char *packing = packing_of(in);
	struct nvc_file *file;
	enum nvc_result result;

	*out = NULL;
	if (packing) {
		fclose(in);
		return nvc_fail(
			err, NVC_E_MALFORMED, "is compressed (%s): unpack it first", packing);
	}
	file = calloc(1, sizeof(*file));
	if (!file) {
		fclose(in);
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a capture file");
	}
	result = open_pcap(in, file, err);
	if (result == NVC_OK)
		*out = file;
	else
		nvc_file_close(file);
	return result;
}

/* ---- what grows ---- */

/* Reads what there is, and waits where there is nothing: libpcap takes every end for the last. */
static ssize_t read_growing(void *cookie, char *out, size_t size)
{
	struct nvc_file *file = cookie;
	size_t len;

	while ((len = fread(out, 1, size, file->growing)) == 0) {
		if (ferror(file->growing) || !file->patience.more(file->patience.self, true))
			return 0;
		clearerr(file->growing);
	}
	nvc_file_walk_feed(file->walk, nvc_slice_of(out, len));
	return (ssize_t)len;
}

enum nvc_result nvc_file_open_growing(FILE *in, const struct nvc_file_patience *patience,
	struct nvc_keylog *keylog, struct nvc_file **out, struct nvc_error *err)
{
	struct nvc_file *file = calloc(1, sizeof(*file));
	enum nvc_result result = NVC_E_NO_MEMORY;
	FILE *through = NULL;

	*out = NULL;
	if (file) {
		file->live = true;
		file->growing = in;
		file->patience = *patience;
		file->walk = nvc_file_walk_new(keylog);
		through = fopencookie(file, "rb", (cookie_io_functions_t){.read = read_growing});
	}
	if (!file || !file->walk || !through) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a capture file");
		if (through)
			fclose(through);
		if (!file)
			fclose(in);
	} else {
		result = open_pcap(through, file, err);
	}
	if (result == NVC_OK)
		*out = file;
	else
		nvc_file_close(file);
	return result;
}

enum nvc_result nvc_file_open_interface(const char *name, const struct nvc_file_patience *patience,
	struct nvc_file **out, struct nvc_error *err)
{
	struct nvc_file *file = calloc(1, sizeof(*file));
	enum nvc_result result;

	*out = NULL;
	if (!file)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a capture");
	file->live = true;
	file->patience = *patience;
	result = nvc_interface_open(name, HAND_OVER_MS, &file->pcap, err);
	if (result == NVC_OK) {
		file->link = pcap_datalink(file->pcap);
		/* Only saves work: what else comes is passed over. */
		nvc_interface_filter(file->pcap, "tcp or vlan", NULL);
		*out = file;
	} else {
		nvc_file_close(file);
	}
	return result;
}

unsigned int nvc_file_lost(const struct nvc_file *file)
{
	struct pcap_stat stat = {0};

	return file->live && !file->growing && pcap_stats(file->pcap, &stat) == 0
		       ? stat.ps_drop + stat.ps_ifdrop
		       : 0;
}

size_t nvc_file_passed(const struct nvc_file *file)
{
	return file->walk ? file->walk->num : 0;
}

enum nvc_result nvc_file_next(
	struct nvc_file *file, struct nvc_packet *packet, struct nvc_error *err)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int result;

	do {
		if (file->live && !file->patience.more(file->patience.self, false))
			return NVC_E_CLOSED;
		result = pcap_next_ex(file->pcap, &header, &data);
		/* An interface gives 0 when nothing came. */
		if (result == 0 && !file->patience.more(file->patience.self, true))
			return NVC_E_CLOSED;
	} while (result == 0);
	/* Who stops to follow a file does it in the middle of a packet, as often as not. */
	if (result == PCAP_ERROR_BREAK || (file->growing && result != 1 && !ferror(file->growing)))
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
	if (file->pcap)
		pcap_close(file->pcap);
	if (file->growing)
		fclose(file->growing);
	nvc_file_walk_free(file->walk);
	free(file);
}
