/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *need_name(unsigned int index)
{
	static const char *const names[NUM_NEEDS] = {"auth", "bidi", "concat", "tls-psk",
		"open-host", "io", "sim", "atr", "io-atr", "tls-only-port", "plain-only-port"};

	return index < NUM_NEEDS ? names[index] : "?";
}

void probe_act_as(
	struct nvc_host *host, const struct profile *profile, const struct profile_host *identity)
{
	host->subnqn = profile->subnqn;
	host->hostnqn = identity->hostnqn;
	memcpy(host->hostid, identity->hostid, sizeof(host->hostid));
	host->has_host_key = identity->has_secret;
	host->host_key = identity->secret;
	host->has_ctrl_key = identity->has_ctrl_secret;
	host->ctrl_key = identity->ctrl_secret;
}

static unsigned int bit_index(enum need need)
{
	unsigned int index = 0;

	while (index < NUM_NEEDS && (unsigned int)need != 1u << index)
		index++;
	return index;
}

static void finding(struct capabilities *caps, enum need need, bool met, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void finding(struct capabilities *caps, enum need need, bool met, const char *format, ...)
{
	va_list args;

	if (met)
		caps->met |= (unsigned int)need;
	va_start(args, format);
	vsnprintf(caps->finding[bit_index(need)], FINDING_SIZE, format, args);
	va_end(args);
}

static const struct profile_host *find_host(
	const struct profile *profile, bool secret, bool bidi, bool unfixed)
{
	for (size_t i = 0; i < profile->num_hosts; i++) {
		const struct profile_host *host = &profile->hosts[i];
		bool fixed = host->hash_id != PROFILE_ANY || host->dhgid != PROFILE_ANY;
		if (host->has_secret == secret && (!bidi || host->has_ctrl_secret) &&
			(!unfixed || !fixed))
			return host;
	}
	return NULL;
}

/* An identity for NEWTLSPSK: nothing fixed, or a group and a hash for which an identity is defined. */
static const struct profile_host *find_concat_host(const struct profile *profile)
{
	for (size_t i = 0; i < profile->num_hosts; i++) {
		const struct profile_host *host = &profile->hosts[i];
		if (host->has_secret && host->hash_id != NVC_HASH_SHA512 &&
			host->dhgid > NVC_DH_NULL)
			return host;
	}
	return find_host(profile, true, false, true);
}

static void static_findings(
	const struct profile *profile, bool reference, struct capabilities *caps)
{
	bool bidi = find_host(profile, true, true, false) != NULL;

	finding(caps, NEED_BIDI, bidi, "%s",
		bidi ? "a controller secret is given" : "no controller secret is given (-C)");
	finding(caps, NEED_TLS_PSK, profile->num_psks > 0, "%s",
		profile->num_psks ? "a configured PSK is given"
				  : "no configured PSK is given (--tls-key)");
	finding(caps, NEED_SIM, reference, "%s",
		reference ? "the target is in this process" : "the target is not in this process");
	finding(caps, NEED_TLS_ONLY_PORT, profile->port_tls[0] != '\0', "%s",
		profile->port_tls[0] ? "a port that requires TLS is given"
				     : "no port that requires TLS is given");
	finding(caps, NEED_PLAIN_ONLY_PORT, profile->port_plain[0] != '\0', "%s",
		profile->port_plain[0] ? "a port without TLS is given"
				       : "no port without TLS is given");
}

/* One Negotiate on a connection of its own; returns what came back. */
static enum nvc_result ask(struct nvc_host *host, uint8_t sc_c,
	const struct nvc_auth_offer *offered, struct nvc_auth_received *received, uint8_t *hash_id,
	uint8_t *dhgid)
{
	struct nvc_queue *queue = NULL;
	struct nvc_auth auth = {0};
	enum nvc_result result = nvc_queue_establish(
		host, &(const struct nvc_queue_options){.label = "probe"}, &queue, NULL);

	memset(received, 0, sizeof(*received));
	if (result == NVC_OK)
		result = nvc_auth_init(&auth, queue, sc_c, NVC_AUTH_UNIDIRECTIONAL);
	if (result == NVC_OK) {
		if (offered)
			auth.offer = *offered;
		result = nvc_auth_send_negotiate(&auth, NULL);
	}
	if (result == NVC_OK)
		result = nvc_auth_receive(&auth, received, NULL);
	*hash_id = auth.hash_id;
	*dhgid = auth.dhgid;
	/* The slices end with the transaction; the caller only looks at numbers. */
	nvc_auth_fini(&auth);
	nvc_queue_free(queue);
	return result;
}

static void add_name(char *list, size_t size, const char *name)
{
	size_t len = strlen(list);

	snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

enum answer { ANSWER_NONE, ANSWER_TAKEN, ANSWER_REFUSED };

/* One question of probe_algorithms: is `offered` answered by a Challenge that keeps to it? `finding` collects the names. */
static enum answer takes(struct nvc_host *host, const struct nvc_auth_offer *offered,
	const char *name, char finding[FINDING_SIZE])
{
	struct nvc_auth_received received;
	uint8_t hash_id, dhgid;

	ask(host, NVC_SC_C_NOSC, offered, &received, &hash_id, &dhgid);
	if (received.kind == NVC_RECEIVED_NOTHING)
		return ANSWER_NONE;
	if (received.kind != NVC_RECEIVED_MESSAGE || received.message != NVC_MSG_CHALLENGE ||
		!memchr(offered->hash_ids, hash_id, offered->num_hashes) ||
		!memchr(offered->dh_ids, dhgid, offered->num_dhgroups))
		return ANSWER_REFUSED;
	add_name(finding, FINDING_SIZE, name);
	return ANSWER_TAKEN;
}

/* A target that does not answer has refused nothing: the cases shall find out, so everything is taken to be usable. */
static void assume_all(struct capabilities *caps)
{
	caps->hashes = caps->dhgroups = UINT32_MAX;
	snprintf(caps->hash_finding, FINDING_SIZE, "nothing: AUTH_Negotiate was not answered");
	snprintf(caps->dhgroup_finding, FINDING_SIZE, "nothing: AUTH_Negotiate was not answered");
}

static void probe_algorithms(struct nvc_host *host, struct capabilities *caps)
{
	enum answer answer = ANSWER_REFUSED;

	for (uint8_t id = NVC_HASH_SHA256; answer != ANSWER_NONE && id <= NVC_HASH_SHA512; id++) {
		struct nvc_auth_offer one = host->offer;
		one.num_hashes = 1;
		one.hash_ids[0] = id;
		answer = takes(host, &one, nvc_name_of(nvc_hash_names, id), caps->hash_finding);
		caps->hashes |= (uint32_t)(answer == ANSWER_TAKEN) << id;
	}
	for (uint8_t id = NVC_DH_NULL; answer != ANSWER_NONE && id < NVC_NUM_DHGROUPS; id++) {
		struct nvc_auth_offer one = host->offer;
		one.num_dhgroups = 1;
		one.dh_ids[0] = id;
		answer = takes(
			host, &one, nvc_name_of(nvc_dhgroup_names, id), caps->dhgroup_finding);
		caps->dhgroups |= (uint32_t)(answer == ANSWER_TAKEN) << id;
	}
	if (answer == ANSWER_NONE)
		assume_all(caps);
}

static void probe_concat(
	const struct profile *profile, struct nvc_host *host, struct capabilities *caps)
{
	const struct profile_host *identity = find_concat_host(profile);
	struct nvc_auth_received received;
	uint8_t hash_id, dhgid;
	char text[FINDING_SIZE];

	if (!identity) {
		finding(caps, NEED_CONCAT, false, "no host secret is given");
		return;
	}
	probe_act_as(host, profile, identity);
	/* Linux loses an AUTH_Failure1 now and then; a refusal has to be seen, so ask again. */
	for (int attempt = 0; attempt < 3 && !(caps->hashes == UINT32_MAX && attempt); attempt++)
		if (ask(host, NVC_SC_C_NEWTLSPSK, NULL, &received, &hash_id, &dhgid) == NVC_OK)
			break;
	if (received.kind == NVC_RECEIVED_NOTHING)
		finding(caps, NEED_CONCAT, true,
			"NEWTLSPSK is not answered, which refuses nothing");
	else if (received.kind == NVC_RECEIVED_MESSAGE && received.message == NVC_MSG_CHALLENGE)
		finding(caps, NEED_CONCAT, true, "NEWTLSPSK is answered by a Challenge");
	else
		finding(caps, NEED_CONCAT, false, "NEWTLSPSK is answered by: %s",
			nvc_auth_received_text(&received, text, sizeof(text)));
}

static void probe_io(
	const struct profile *profile, struct nvc_host *host, struct capabilities *caps)
{
	const struct profile_host *identity = find_host(profile, true, false, false);
	struct nvc_queue *admin = NULL, *io = NULL;
	struct nvc_completion done = {0};
	struct nvc_identify_namespace ns = {0};
	struct nvc_error err = {0};
	uint32_t lbads;

	probe_act_as(host, profile, identity ? identity : &profile->hosts[0]);
	if (nvc_host_admin(host, NULL, NVC_AUTH_UNIDIRECTIONAL, &admin, NULL, &err) == NVC_OK &&
		nvc_do_enable(admin, &err) == NVC_OK &&
		nvc_do_identify(admin, NVC_CNS_NAMESPACE, 1, &done, &err) == NVC_OK &&
		nvc_decode(&nvc_identify_namespace_layout, done.data, &ns, NULL, &err) == NVC_OK) {
		lbads = ns.lbaf0 >> 16 & 0xff;
		caps->block_len = ns.nsze && lbads >= 9 && lbads <= 12 ? (size_t)1 << lbads : 0;
	}
	if (admin && err.result == NVC_OK)
		nvc_queue_establish(host,
			&(const struct nvc_queue_options){.qid = 1, .admin = admin}, &io, &err);
	finding(caps, NEED_IO, io && nvc_queue_info(io)->connected && caps->block_len, "%s",
		err.result	  ? err.text
		: caps->block_len ? "namespace 1 is there"
				  : "namespace 1 is missing or has odd blocks");
	if (io && nvc_queue_info(io)->connected)
		finding(caps, NEED_IO_ATR, nvc_queue_info(io)->atr,
			"Connect of an I/O queue answers ATR=%d", nvc_queue_info(io)->atr);
	else
		finding(caps, NEED_IO_ATR, false, "no I/O queue could be connected");
	nvc_queue_free(io);
	nvc_queue_free(admin);
}

static void probe_requirement(const struct nvc_queue *queue, struct capabilities *caps)
{
	const struct nvc_queue_info *info = nvc_queue_info(queue);

	finding(caps, NEED_ATR, info->atr || info->ascr, "Connect answers ATR=%d ASCR=%d",
		info->atr, info->ascr);
}

/* Whoever wrote the profile knows better than a probe, which the target may have answered by chance. */
static void apply_unsupported(const struct profile *profile, struct capabilities *caps)
{
	for (unsigned int i = 0; i < NUM_NEEDS; i++)
		if (profile->unsupported & 1u << i) {
			caps->met &= ~(1u << i);
			snprintf(caps->finding[i], FINDING_SIZE,
				"the profile says that the target does not support it");
		}
}

/* Every other question is asked in clear. A target without such a port can still be judged by the cases that need none, if it does TLS. */
static enum nvc_result ask_for_tls(const struct profile *profile, struct nvc_host *host,
	struct capabilities *caps, struct nvc_error *err)
{
	const struct profile_psk *psk = profile->num_psks ? &profile->psks[0] : NULL;
	const uint8_t hash_id =
		psk && psk->key.hash_id == NVC_HASH_SHA384 ? NVC_HASH_SHA384 : NVC_HASH_SHA256;
	struct nvc_tls_psk tls = {.hash_id = hash_id};
	enum nvc_result result = NVC_OK;
	struct nvc_queue *queue = NULL;
	static const enum need needs[] = {
		NEED_CONCAT, NEED_OPEN_HOST, NEED_ATR, NEED_IO, NEED_IO_ATR};

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		finding(caps, needs[i], false, "no port that serves plain TCP is given");
	apply_unsupported(profile, caps);
	if (psk)
		result = profile_tls_psk(profile, psk, 1, hash_id, &tls);
	if (psk && result == NVC_OK)
		result = nvc_queue_open(host,
			&(const struct nvc_queue_options){
				.label = "probe", .port = NVC_PORT_TLS_ONLY, .tls = &tls},
			&queue, err);
	nvc_queue_free(queue);
	nvc_secret_wipe(&tls.psk);
	return result;
}

enum nvc_result probe_target(const struct profile *profile, struct nvc_host *host, bool reference,
	struct capabilities *caps, struct nvc_error *err)
{
	const struct profile_host *secret = find_host(profile, true, false, false);
	const struct profile_host *open = find_host(profile, false, false, false);
	const struct profile_host *unfixed = find_host(profile, true, false, true);
	const struct profile_host *first = secret ? secret : open;
	struct nvc_queue *queue = NULL;
	enum nvc_result result;
	uint64_t begun;

	memset(caps, 0, sizeof(*caps));
	if (!first)
		return nvc_fail(err, NVC_E_INVALID, "the profile has no host to act as");
	static_findings(profile, reference, caps);
	finding(caps, NEED_AUTH, secret != NULL, "%s",
		secret ? "a host secret is given" : "no host secret is given (-S)");
	finding(caps, NEED_OPEN_HOST, false, "no host identity without a secret is given");
	if (!profile->port_concat[0])
		return ask_for_tls(profile, host, caps, err);
	probe_act_as(host, profile, first);
	begun = nvc_env_now(&host->world->env);
	result = nvc_queue_establish(
		host, &(const struct nvc_queue_options){.label = "probe"}, &queue, err);
	caps->answer_time = nvc_env_now(&host->world->env) - begun;
	if (result == NVC_OK)
		probe_requirement(queue, caps);
	nvc_queue_free(queue);
	if (result != NVC_OK)
		return result;
	if (open) {
		probe_act_as(host, profile, open);
		result = nvc_queue_establish(
			host, &(const struct nvc_queue_options){.label = "probe"}, &queue, NULL);
		finding(caps, NEED_OPEN_HOST, result == NVC_OK,
			"a host identity without a secret is %s",
			result == NVC_OK ? "served" : "refused");
		nvc_queue_free(queue);
	}
	if (unfixed) {
		probe_act_as(host, profile, unfixed);
		probe_algorithms(host, caps);
	}
	if (secret)
		probe_concat(profile, host, caps);
	else
		finding(caps, NEED_CONCAT, false, "no host secret is given (-S)");
	probe_io(profile, host, caps);
	nvc_host_close_all(host);
	apply_unsupported(profile, caps);
	return NVC_OK;
}
