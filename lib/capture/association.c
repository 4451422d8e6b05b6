/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/association.h"

#include <stdlib.h>
#include <string.h>

#include "capture/scatter.h"

enum { NUM_BUCKETS = 1024 };

struct nvc_associations {
	struct nvc_scatter scatter;
	struct nvc_association *all[NVC_MAX_ASSOCIATIONS]; /* by number modulo their number */
	struct nvc_association *newest[NUM_BUCKETS];
	unsigned int last;
};

struct nvc_associations *nvc_associations_new(void)
{
	struct nvc_associations *table = calloc(1, sizeof(*table));

	if (table)
		table->scatter = nvc_scatter_new();
	return table;
}

static size_t bucket_of(
	const struct nvc_associations *table, struct nvc_slice hostnqn, struct nvc_slice subnqn)
{
	return (3 * nvc_scatter(&table->scatter, hostnqn) + nvc_scatter(&table->scatter, subnqn)) %
	       NUM_BUCKETS;
}

static void drop(struct nvc_associations *table, struct nvc_association *gone)
{
	if (gone->newer)
		gone->newer->older = gone->older;
	else
		table->newest[gone->bucket] = gone->older;
	if (gone->older)
		gone->older->newer = gone->newer;
	table->all[gone->number % NVC_MAX_ASSOCIATIONS] = NULL;
	free(gone->hostnqn);
	free(gone->subnqn);
	explicit_bzero(gone->psks, sizeof(gone->psks));
	free(gone);
}

void nvc_associations_free(struct nvc_associations *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < NVC_MAX_ASSOCIATIONS; i++)
		if (table->all[i])
			drop(table, table->all[i]);
	free(table);
}

struct nvc_association *nvc_association_add(
	struct nvc_associations *table, const char *hostnqn, const char *subnqn)
{
	struct nvc_association *added = calloc(1, sizeof(*added)), **place;

	if (!added)
		return NULL;
	added->hostnqn = strdup(hostnqn);
	added->subnqn = strdup(subnqn);
	if (!added->hostnqn || !added->subnqn) {
		free(added->hostnqn);
		free(added->subnqn);
		free(added);
		return NULL;
	}
	added->number = ++table->last;
	place = &table->all[added->number % NVC_MAX_ASSOCIATIONS];
	if (*place)
		drop(table, *place);
	*place = added;
	added->bucket = bucket_of(table, nvc_slice_str(hostnqn), nvc_slice_str(subnqn));
	added->older = table->newest[added->bucket];
	if (added->older)
		added->older->newer = added;
	table->newest[added->bucket] = added;
	return added;
}

struct nvc_association *nvc_association_get(struct nvc_associations *table, unsigned int number)
{
	struct nvc_association *found = table->all[number % NVC_MAX_ASSOCIATIONS];

	return found && found->number == number ? found : NULL;
}

void nvc_association_drop(struct nvc_associations *table, unsigned int number)
{
	struct nvc_association *found = nvc_association_get(table, number);

	if (found)
		drop(table, found);
}

static bool is_between(const struct nvc_association *association, struct nvc_slice hostnqn,
	struct nvc_slice subnqn)
{
	return nvc_slice_equal(nvc_slice_str(association->hostnqn), hostnqn) &&
	       nvc_slice_equal(nvc_slice_str(association->subnqn), subnqn);
}

struct nvc_association *nvc_association_by_cntlid(
	struct nvc_associations *table, const char *hostnqn, const char *subnqn, uint16_t cntlid)
{
	const struct nvc_slice host = nvc_slice_str(hostnqn), sub = nvc_slice_str(subnqn);
	struct nvc_association *at = table->newest[bucket_of(table, host, sub)];

	while (at && !(at->has_cntlid && at->cntlid == cntlid && is_between(at, host, sub)))
		at = at->older;
	return at;
}

static unsigned int oldest_psk(const struct nvc_association *association)
{
	return association->num_psks > NVC_KEPT_PSKS ? association->num_psks - NVC_KEPT_PSKS + 1
						     : 1;
}

/* The number of the newest PSK with that digest, empty or not; 0 where there is none. */
static unsigned int find_psk(const struct nvc_association *association, struct nvc_slice digest)
{
	for (unsigned int i = association->num_psks; i && i >= oldest_psk(association); i--)
		if (nvc_slice_equal(
			    nvc_slice_str(association->psks[i % NVC_KEPT_PSKS].digest), digest))
			return i;
	return 0;
}

struct nvc_association *nvc_association_by_psk(
	struct nvc_associations *table, const struct nvc_psk_identity *identity, unsigned int *psk)
{
	struct nvc_association *newest =
		table->newest[bucket_of(table, identity->hostnqn, identity->subnqn)];
	const struct nvc_slice none = {0};

	for (struct nvc_association *at = newest; at; at = at->older) {
		*psk = is_between(at, identity->hostnqn, identity->subnqn)
			       ? find_psk(at, identity->digest)
			       : 0;
		if (*psk)
			return at;
	}
	for (struct nvc_association *at = newest; at; at = at->older) {
		*psk = is_between(at, identity->hostnqn, identity->subnqn) ? find_psk(at, none) : 0;
		if (!*psk || identity->digest.len >= NVC_PSK_DIGEST_SIZE)
			continue;
		memcpy(at->psks[*psk % NVC_KEPT_PSKS].digest, identity->digest.data,
			identity->digest.len);
		return at;
	}
	*psk = 0;
	return NULL;
}

void nvc_association_add_psk(
	struct nvc_association *association, struct nvc_slice psk, const char *digest)
{
	const size_t place = ++association->num_psks % NVC_KEPT_PSKS;
	const size_t len = strlen(digest);

	memset(&association->psks[place], 0, sizeof(association->psks[place]));
	if (len >= NVC_PSK_DIGEST_SIZE || !len)
		return;
	memcpy(association->psks[place].digest, digest, len);
	nvc_secret_set(&association->psks[place].psk, psk);
}

struct nvc_slice nvc_association_psk(const struct nvc_association *association, unsigned int psk)
{
	return psk && psk <= association->num_psks && psk >= oldest_psk(association)
		       ? nvc_secret_slice(&association->psks[psk % NVC_KEPT_PSKS].psk)
		       : nvc_slice_of(NULL, 0);
}
