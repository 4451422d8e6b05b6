/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture files: packets through libpcap, and what libpcap passes over, the secrets in a pcapng. */
#ifndef NVC_CAPTURE_FILE_H
#define NVC_CAPTURE_FILE_H

#include <stdio.h>

#include "capture/keylog.h"

/* nvc_file_secrets adds the TLS key logs inside a pcapng to `keylog` and leaves `in`, which must be seekable, at its
 * beginning. A file that is no pcapng holds none; one that is broken is read as far as it can be. Returns the number of
 * secrets. */
size_t nvc_file_secrets(FILE *in, struct nvc_keylog *keylog);

/* The same for a file that is read once, as it comes: what walks over its bytes. `keylog` is borrowed. NULL without memory. */
struct nvc_file_walk;
struct nvc_file_walk *nvc_file_walk_new(struct nvc_keylog *keylog);

/* nvc_file_walk_feed takes the next bytes of the file; those of a file that is no pcapng are passed over. */
void nvc_file_walk_feed(struct nvc_file_walk *walk, struct nvc_slice bytes);

/* nvc_file_walk_free ends the walk; NULL is allowed. */
void nvc_file_walk_free(struct nvc_file_walk *walk);

/* One packet. `data` is valid until the next call. */
struct nvc_packet {
	uint64_t frame; /* its number in the file, from 1 */
	uint64_t time;	/* nanoseconds since 1970 */
	struct nvc_slice data;
	size_t wire_len;
};

struct nvc_file;

/* nvc_file_open begins to read `in`, which it owns from then on, also when it fails: NVC_E_MALFORMED for what is no capture,
 * NVC_E_INVALID for a link type that is not understood. */
enum nvc_result nvc_file_open(FILE *in, struct nvc_file **file, struct nvc_error *err);

/* What is asked of a source without an end before each packet, and with `wait` where there is none for now, to wait a moment: whether
 * to go on. */
struct nvc_file_patience {
	void *self;
	bool (*more)(void *self, bool wait);
};

/* nvc_file_open_growing is nvc_file_open for a file that somebody is still writing; the secrets of a pcapng are added to `keylog`
 * (borrowed) as they pass by. `in` may be at its end for now; it need not be seekable. */
enum nvc_result nvc_file_open_growing(FILE *in, const struct nvc_file_patience *patience,
	struct nvc_keylog *keylog, struct nvc_file **file, struct nvc_error *err);

/* nvc_file_open_interface takes the TCP packets of a network interface, as libpcap has them. NVC_E_INVALID where there is none of
 * that name, or it must not be read. */
enum nvc_result nvc_file_open_interface(const char *name, const struct nvc_file_patience *patience,
	struct nvc_file **file, struct nvc_error *err);

/* nvc_file_lost returns how many packets of an interface came faster than they were read. */
unsigned int nvc_file_lost(const struct nvc_file *file);

/* nvc_file_passed returns how many secrets have passed by in a growing file. */
size_t nvc_file_passed(const struct nvc_file *file);

/* nvc_file_next reads the next packet. NVC_E_CLOSED at the end; NVC_E_TRUNCATED where the file breaks off or cannot be read
 * any further, with `err` filled. */
enum nvc_result nvc_file_next(
	struct nvc_file *file, struct nvc_packet *packet, struct nvc_error *err);

/* nvc_file_link returns the link type of all packets. */
int nvc_file_link(const struct nvc_file *file);

/* nvc_file_close frees `file`; NULL is allowed. */
void nvc_file_close(struct nvc_file *file);

#endif
