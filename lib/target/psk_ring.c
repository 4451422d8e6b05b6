/* SPDX-License-Identifier: BSD-3-Clause */
/* The PSKs a TLS client can name: configured ones, and those that secure channel concatenations have generated. */
#include "target/internal.h"

#include <stdlib.h>
#include <string.h>

static enum nvc_kdf_variant variant(const struct nvc_target *target)
{
	switch (HOW(target, KDF_LABEL)) {
	case HOW_KEPT:
		return NVC_KDF_RFC8446;
	case HOW_NO_OUTLEN:
		return NVC_KDF_NO_OUTLEN;
	case HOW_OFF_BY_ONE:
		return NVC_KDF_LABEL_OFF_BY_ONE;
	default:
		return NVC_KDF_NO_LENGTH_OCTETS;
	}
}

void nvc_psk_free(struct psk_entry *entry)
{
	if (!entry)
		return;
	nvc_secret_wipe(&entry->tls_psk);
	free(entry);
}

/* Derives everything that belongs to a PSK; NULL when that is not defined for it. */
static struct psk_entry *make_entry(const struct nvc_target *target,
	const struct nvc_psk_params *params, const char *hostnqn, const char *subnqn)
{
	struct psk_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->generated = params->type == NVC_PSK_GENERATED;
	entry->hash_id = params->hash_id;
	entry->expires = NVC_NEVER;
	memcpy(entry->hostnqn, hostnqn, strlen(hostnqn) + 1);
	memcpy(entry->subnqn, subnqn, strlen(subnqn) + 1);
	if (nvc_tls_psk_identity(params, entry->identity, sizeof(entry->identity)) == NVC_OK &&
		nvc_tls_psk_derive(params, variant(target), &entry->tls_psk) == NVC_OK)
		return entry;
	nvc_psk_free(entry);
	return NULL;
}

struct psk_entry *nvc_psk_make(struct conn *conn, const struct transaction *tx)
{
	const struct nvc_target *target = conn->target;
	const struct controller *controller = conn->controller;
	struct nvc_psk_params params = {.version = 1, .type = NVC_PSK_GENERATED};
	struct nvc_secret psk = {.len = 0};
	struct psk_entry *entry = NULL;

	params.hash_id = tx->hash_id;
	if (!KEPT(target, PSK_IDENTITY) && tx->hash_id != NVC_HASH_SHA512)
		params.hash_id = (uint8_t)(NVC_HASH_SHA256 + NVC_HASH_SHA384 - tx->hash_id);
	if (nvc_psk_generated(tx->hash_id, nvc_secret_slice(&tx->psk_key),
		    nvc_secret_slice(&tx->c1), nvc_secret_slice(&tx->c2), &psk) == NVC_OK) {
		params.psk = nvc_secret_slice(&psk);
		params.hostnqn = nvc_slice_str(controller->hostnqn);
		params.subnqn = nvc_slice_str(controller->subsystem->nqn);
		entry = make_entry(
			target, &params, controller->hostnqn, controller->subsystem->nqn);
		if (entry)
			entry->tls_psk.data[0] =
				(uint8_t)FIELD(target, PSK_VALUE, entry->tls_psk.data[0]);
	}
	nvc_secret_wipe(&psk);
	if (!entry)
		nvc_target_say(
			target, "no PSK can be generated with hash %u", (unsigned int)tx->hash_id);
	return entry;
}

/* Puts all identities of a configured PSK into the ring at `at`. */
static void add_configured(const struct nvc_target *target, const struct host *host,
	const char *subnqn, const struct nvc_tls_key *key, struct psk_entry **at)
{
	struct nvc_psk_params params = {.type = NVC_PSK_RETAINED,
		.hostnqn = nvc_slice_str(host->nqn),
		.subnqn = nvc_slice_str(subnqn)};
	struct nvc_secret retained = {.len = 0};
	struct psk_entry *entry;

	if (nvc_psk_retained(key, params.hostnqn, NVC_KDF_RFC8446, &retained) != NVC_OK)
		return; /* the configuration was refused: nvc_psk_check */
	params.psk = nvc_secret_slice(&retained);
	for (params.version = 0; params.version <= 1; params.version++) {
		for (int hash = NVC_HASH_SHA256; hash <= NVC_HASH_SHA384; hash++) {
			params.hash_id = (uint8_t)hash;
			entry = make_entry(target, &params, host->nqn, subnqn);
			if (!entry) /* version 0 has no identity above 255 bytes */
				continue;
			entry->next = *at;
			*at = entry;
		}
	}
	nvc_secret_wipe(&retained);
}

enum nvc_result nvc_psk_check(const struct nvc_tls_key *key, const char *hostnqn)
{
	struct nvc_secret retained = {.len = 0};
	enum nvc_result result =
		nvc_psk_retained(key, nvc_slice_str(hostnqn), NVC_KDF_RFC8446, &retained);

	nvc_secret_wipe(&retained);
	return result;
}

/* Most targets of a run never see a handshake, and their derivations would cost more than all else that they begin with. */
static void derive_configured(struct nvc_target *target)
{
	struct psk_entry **behind = &target->psks; /* what was generated */

	if (target->psks_derived)
		return;
	target->psks_derived = true;
	while (*behind)
		behind = &(*behind)->next;
	for (size_t h = 0; h < target->num_hosts; h++) {
		const struct host *host = &target->hosts[h];

		for (size_t p = 0; p < host->num_psks; p++)
			for (size_t s = 0; s < target->num_subsystems; s++)
				if (!*host->psks[p].subnqn ||
					strcmp(host->psks[p].subnqn, target->subsystems[s].nqn) ==
						0)
					add_configured(target, host, target->subsystems[s].nqn,
						&host->psks[p].key, behind);
	}
}

static void unlink_entry(struct nvc_target *target, const struct psk_entry *entry)
{
	struct psk_entry **link = &target->psks;

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
}

void nvc_psk_publish(struct nvc_target *target, struct psk_entry *entry)
{
	struct psk_entry *oldest = NULL;
	size_t num = 0;

	nvc_psk_retire(target, entry->identity); /* the same once more */
	for (struct psk_entry *e = target->psks; e; e = e->next) {
		if (e->generated) {
			num++;
			oldest = e;
		}
	}
	if (oldest && num >= target->limits.max_psks) {
		nvc_target_say(target, "too many generated PSKs: the oldest goes");
		unlink_entry(target, oldest);
		nvc_psk_free(oldest);
	}
	entry->expires = nvc_env_now(&target->env) + NVC_SEC(target->limits.psk_lifetime);
	entry->next = target->psks;
	target->psks = entry;
}

/* Takes out the first generated PSK whose identity, or whose host, is `name`. */
static void take_out(struct nvc_target *target, bool by_host, const char *name)
{
	for (struct psk_entry *e = target->psks; e; e = e->next) {
		if (!e->generated || strcmp(by_host ? e->hostnqn : e->identity, name) != 0)
			continue;
		nvc_target_say(target, "a generated PSK is retired");
		unlink_entry(target, e);
		nvc_psk_free(e);
		return;
	}
}

void nvc_psk_retire(struct nvc_target *target, const char *identity)
{
	take_out(target, false, identity);
}

void nvc_psk_retire_another(struct nvc_target *target, const char *hostnqn)
{
	take_out(target, true, hostnqn);
}

void nvc_psk_publish_twin(struct nvc_target *target)
{
	struct psk_entry *twin = target->psks ? malloc(sizeof(*twin)) : NULL;

	if (!twin)
		return;
	*twin = *target->psks;
	twin->next = target->psks;
	target->psks = twin;
}

void nvc_psk_expire(struct nvc_target *target, uint64_t now)
{
	struct psk_entry **link = &target->psks;

	while (*link) {
		struct psk_entry *entry = *link;

		if (entry->expires <= now && !KEPT(target, PSK_LIFETIME))
			entry->expires = NVC_NEVER;
		if (entry->expires > now) {
			link = &entry->next;
			continue;
		}
		*link = entry->next;
		nvc_target_say(target, "a generated PSK has expired");
		nvc_psk_free(entry);
	}
}

/* "NVMe1G01": where the two digits of the hash are. */
enum { HASH_DIGITS_AT = 6, AFTER_HASH = 8 };

static bool matches(const struct nvc_target *target, const char *known, const char *asked)
{
	size_t len = strlen(asked);

	if (strcmp(known, asked) == 0)
		return true;
	if (HOW(target, PSK_EXACT) == HOW_ANY)
		return true;
	if (!KEPT(target, PSK_EXACT) && len > AFTER_HASH && strncmp(known, asked, len) == 0)
		return true;
	return !KEPT(target, PSK_HASH) && len > AFTER_HASH &&
	       strncmp(known, asked, HASH_DIGITS_AT) == 0 &&
	       strcmp(known + AFTER_HASH, asked + AFTER_HASH) == 0;
}

const struct psk_entry *nvc_psk_find(const struct nvc_target *target, const char *identity)
{
	uint64_t now = nvc_env_now(&target->env);

	for (const struct psk_entry *e = target->psks; e; e = e->next) {
		if ((e->expires <= now && KEPT(target, PSK_LIFETIME)) ||
			!matches(target, e->identity, identity))
			continue;
		if (e->generated ? HOW(target, PSK_KNOWN) != HOW_BROKEN
				 : KEPT(target, PSK_CONFIGURED))
			return e;
	}
	return NULL;
}

bool nvc_psk_for_tls(void *self, const char *identity, struct nvc_secret *psk, uint8_t *hash_id)
{
	struct conn *conn = self;
	const struct psk_entry *entry;

	conn->handshake = true;
	derive_configured(conn->target);
	entry = nvc_psk_find(conn->target, identity);
	if (!entry) {
		nvc_target_say(conn->target, "TLS refused: no PSK has the identity asked for");
		return false;
	}
	*psk = entry->tls_psk;
	*hash_id = entry->hash_id;
	if (!KEPT(conn->target, PSK_SUITE))
		*hash_id = (uint8_t)(NVC_HASH_SHA256 + NVC_HASH_SHA384 - entry->hash_id);
	return true;
}

/* Defect psk-used-once. */
static void use_up(struct nvc_target *target, const char *identity)
{
	for (struct psk_entry *e = target->psks; e; e = e->next)
		if (strcmp(e->identity, identity) == 0)
			e->expires = nvc_env_now(&target->env);
}

void nvc_psk_secured(void *self, const char *identity, uint16_t suite)
{
	struct conn *conn = self;
	const struct psk_entry *entry = nvc_psk_find(conn->target, identity);

	(void)suite;
	conn->secured = true;
	conn->knows_tls = true;
	if (!entry) { /* it was retired during the handshake: the session is good, its PSK is not */
		nvc_conn_close(conn, NVC_END_FIN);
		return;
	}
	conn->generated = entry->generated;
	memcpy(conn->identity, entry->identity, sizeof(conn->identity));
	memcpy(conn->tls_hostnqn, entry->hostnqn, sizeof(conn->tls_hostnqn));
	memcpy(conn->tls_subnqn, entry->subnqn, sizeof(conn->tls_subnqn));
	if (HOW(conn->target, PSK_KNOWN) == HOW_ONCE)
		use_up(conn->target, conn->identity);
}
