/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which connections belong together: an admin queue in clear that made a PSK by NEWTLSPSK, the TLS connections under that
 * PSK and those that REPLACETLSPSK made after it, and the I/O queues of their controllers.
 */
#ifndef NVC_CAPTURE_ASSOCIATION_H
#define NVC_CAPTURE_ASSOCIATION_H

#include "crypto/tls_psk.h"

enum {
	NVC_MAX_ASSOCIATIONS = 16384, /* remembered; the oldest give way */
	NVC_KEPT_PSKS = 4,	      /* of one association, the newest */
};

struct nvc_association {
	unsigned int number; /* from 1, in the order in which they were seen */
	char *hostnqn, *subnqn;
	bool has_cntlid;
	uint16_t cntlid;
	unsigned int num_psks; /* generated so far */
	/* By number modulo NVC_KEPT_PSKS. An empty digest is not known: then the first identity that is used tells it. */
	struct {
		char digest[NVC_PSK_DIGEST_SIZE];
		struct nvc_secret psk; /* empty where it could not be computed from the exchange */
	} psks[NVC_KEPT_PSKS];
	struct nvc_association *newer, *older; /* of those with the same hash of names */
	size_t bucket;
};

struct nvc_associations;

/* nvc_associations_new returns an empty table, or NULL without memory. */
struct nvc_associations *nvc_associations_new(void);

/* nvc_associations_free wipes and frees `table`; NULL is allowed. */
void nvc_associations_free(struct nvc_associations *table);

/* nvc_association_add begins an association between two names; NULL without memory. */
struct nvc_association *nvc_association_add(
	struct nvc_associations *table, const char *hostnqn, const char *subnqn);

/* nvc_association_get returns association `number`, or NULL when it is not remembered any more. */
struct nvc_association *nvc_association_get(struct nvc_associations *table, unsigned int number);

/* nvc_association_drop forgets association `number`, to which nothing more can belong. */
void nvc_association_drop(struct nvc_associations *table, unsigned int number);

/* nvc_association_by_cntlid returns the newest association of the names with that controller, or NULL. */
struct nvc_association *nvc_association_by_cntlid(
	struct nvc_associations *table, const char *hostnqn, const char *subnqn, uint16_t cntlid);

/* nvc_association_by_psk finds whose generated PSK `identity` names, and the number of that PSK in `psk`: by its digest, or
 * else the newest of the same names of which a digest is not known, which is known from then on. NULL where there is none. */
struct nvc_association *nvc_association_by_psk(
	struct nvc_associations *table, const struct nvc_psk_identity *identity, unsigned int *psk);

/* nvc_association_add_psk books one more generated PSK; it and `digest` are empty when they could not be computed. */
void nvc_association_add_psk(
	struct nvc_association *association, struct nvc_slice psk, const char *digest);

/* nvc_association_psk returns PSK `psk`; empty when it could not be computed, or is not remembered any more. */
struct nvc_slice nvc_association_psk(const struct nvc_association *association, unsigned int psk);

#endif
