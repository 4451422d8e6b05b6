/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing pcapng (draft-ietf-opsawg-pcapng): one section with one interface, in memory. libpcap writes classic pcap only,
 * which has no room for secrets, comments and names.
 */
#ifndef NVC_CAPTURE_PCAPNG_H
#define NVC_CAPTURE_PCAPNG_H

#include "wire/bytes.h"
#include "wire/result.h"

enum nvc_pcapng_block {
	NVC_PCAPNG_SECTION = 0x0a0d0d0a,
	NVC_PCAPNG_INTERFACE = 1,
	NVC_PCAPNG_NAMES = 4,
	NVC_PCAPNG_PACKET = 6,
	NVC_PCAPNG_SECRETS = 10,
};

enum {
	NVC_PCAPNG_MAGIC = 0x1a2b3c4d,
	NVC_PCAPNG_TLS_KEY_LOG = 0x544c534b, /* secrets type "TLSK" */
	NVC_LINK_ETHERNET = 1,
};

/* Whole blocks, as they will stand in the file. An error sticks in `failed`. */
struct nvc_pcapng {
	uint8_t *data;
	size_t len, cap, limit;
	bool failed;
};

/* nvc_pcapng_init begins an empty file of at most `limit` bytes; ended by nvc_pcapng_fini. */
void nvc_pcapng_init(struct nvc_pcapng *out, size_t limit);

/* nvc_pcapng_fini frees what was written, overwriting it first: it may hold secrets. */
void nvc_pcapng_fini(struct nvc_pcapng *out);

/* nvc_pcapng_section appends the section header with the name of the program and, as its comment, what it was asked to
 * do. Either may be NULL. */
void nvc_pcapng_section(struct nvc_pcapng *out, const char *application, const char *comment);

/* nvc_pcapng_interface appends the description of an interface of link type `link`, with times in nanoseconds. */
void nvc_pcapng_interface(struct nvc_pcapng *out, uint16_t link, const char *name);

/* nvc_pcapng_secrets appends a key log in NSS format. */
void nvc_pcapng_secrets(struct nvc_pcapng *out, struct nvc_slice keylog);

/* An address of 4 or 16 bytes and its name. */
struct nvc_pcapng_name {
	struct nvc_slice address;
	const char *name;
};

/* nvc_pcapng_names appends the names of addresses. */
void nvc_pcapng_names(
	struct nvc_pcapng *out, const struct nvc_pcapng_name *names, size_t num_names);

/* nvc_pcapng_packet appends a packet of interface 0, seen at `time` (nanoseconds since 1970), with its comments. */
void nvc_pcapng_packet(struct nvc_pcapng *out, uint64_t time, struct nvc_slice frame,
	const char *const *comments, size_t num_comments);

#endif
