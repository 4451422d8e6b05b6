/* SPDX-License-Identifier: BSD-3-Clause */
/* Places in a table of buckets that who writes a capture cannot aim at: else one bucket would hold everything. */
#ifndef NVC_CAPTURE_SCATTER_H
#define NVC_CAPTURE_SCATTER_H

#include "wire/bytes.h"

/* What makes one table differ from the next. */
struct nvc_scatter {
	uint64_t key[2];
};

/* nvc_scatter_new returns a key drawn at random. */
struct nvc_scatter nvc_scatter_new(void);

/* nvc_scatter hashes `in` under a key (SipHash-1-3). */
uint64_t nvc_scatter(const struct nvc_scatter *scatter, struct nvc_slice in);

#endif
