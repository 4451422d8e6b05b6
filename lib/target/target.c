/* SPDX-License-Identifier: BSD-3-Clause */
/* The target as a whole: its configuration, copied, and what it knows of hosts and subsystems. */
#include "target/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool copy_nqn(char out[NVC_NQN_MAX_LEN + 1], const char *nqn)
{
	size_t len = nqn ? strlen(nqn) : 0;

	if (len > NVC_NQN_MAX_LEN)
		return false;
	if (len)
		memcpy(out, nqn, len);
	out[len] = '\0';
	return true;
}

static void fill_blocks(struct subsystem *subsystem)
{
	size_t size = (size_t)subsystem->num_blocks * subsystem->block_size;

	/* Content that a reader can predict: each byte follows from its block and its place in it. */
	for (size_t i = 0; i < size; i++)
		subsystem->blocks[i] =
			(uint8_t)(i / subsystem->block_size * 7 + i % subsystem->block_size);
}

static enum nvc_result add_subsystem(
	struct subsystem *to, const struct nvc_target_subsystem *from, struct nvc_error *err)
{
	to->discovery = from->discovery;
	to->allow_any_host = from->allow_any_host;
	to->num_blocks = from->num_blocks ? from->num_blocks : 2048;
	to->block_size = from->block_size ? from->block_size : 512;
	if (!copy_nqn(to->nqn, from->nqn) || !*to->nqn)
		return nvc_fail(err, NVC_E_INVALID, "a subsystem NQN is empty or too long");
	if (to->block_size != 512 && to->block_size != 4096)
		return nvc_fail(err, NVC_E_INVALID, "block size %u is neither 512 nor 4096",
			(unsigned int)to->block_size);
	if (to->num_blocks > 1u << 20)
		return nvc_fail(
			err, NVC_E_INVALID, "a namespace in memory of more than 2^20 blocks");
	if (to->discovery)
		return NVC_OK;
	to->blocks = malloc((size_t)to->num_blocks * to->block_size);
	if (!to->blocks)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a namespace");
	fill_blocks(to);
	return NVC_OK;
}

static enum nvc_result add_host(
	struct host *to, const struct nvc_target_host *from, struct nvc_error *err)
{
	enum nvc_result result = NVC_OK;

	to->host_key = from->host_key;
	to->controller_key = from->controller_key;
	to->hashes = from->hashes ? from->hashes : 0xe;
	to->dhgroups = from->dhgroups ? from->dhgroups : 0x3f;
	to->auth = from->auth;
	to->concat = from->concat;
	if (!copy_nqn(to->nqn, from->hostnqn) || !*to->nqn || !copy_nqn(to->subnqn, from->subnqn))
		return nvc_fail(err, NVC_E_INVALID, "an NQN of a host row is empty or too long");
	if (to->auth != NVC_POLICY_DISABLED && !to->host_key.secret.len)
		return nvc_fail(err, NVC_E_INVALID, "host %s has a policy but no secret", to->nqn);
	if (to->concat != NVC_POLICY_DISABLED && to->auth == NVC_POLICY_DISABLED)
		return nvc_fail(err, NVC_E_INVALID,
			"host %s: concatenation needs authentication, which is disabled", to->nqn);
	to->psks = from->num_psks ? calloc(from->num_psks, sizeof(*to->psks)) : NULL;
	if (from->num_psks && !to->psks)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for PSKs");
	for (size_t i = 0; i < from->num_psks && result == NVC_OK; i++) {
		struct configured_psk *psk = &to->psks[to->num_psks++];

		psk->key = from->psks[i].key;
		if (!copy_nqn(psk->subnqn, from->psks[i].subnqn))
			return nvc_fail(err, NVC_E_INVALID, "the NQN of a PSK is too long");
		result = nvc_psk_check(&psk->key, to->nqn);
	}
	return result ? nvc_fail(err, result, "a configured PSK of %s cannot be used", to->nqn)
		      : NVC_OK;
}

static void add_port(struct port *to, const struct nvc_target_port *from)
{
	to->port = from->port;
	to->tls = from->tls;
	snprintf(to->traddr, sizeof(to->traddr), "%s", from->traddr ? from->traddr : "127.0.0.1");
	if (from->trsvcid)
		snprintf(to->trsvcid, sizeof(to->trsvcid), "%s", from->trsvcid);
	else
		snprintf(to->trsvcid, sizeof(to->trsvcid), "%u",
			from->port ? (unsigned int)from->port : 4420u);
}

static enum nvc_result copy_config(
	struct nvc_target *target, const struct nvc_target_config *config, struct nvc_error *err)
{
	static const struct nvc_target_port permissive = {.tls = NVC_TLS_PERMITTED};
	size_t num_ports = config->num_ports ? config->num_ports : 1;
	enum nvc_result result = NVC_OK;

	target->subsystems = calloc(config->num_subsystems + 1, sizeof(*target->subsystems));
	target->hosts = calloc(config->num_hosts + 1, sizeof(*target->hosts));
	target->ports = calloc(num_ports, sizeof(*target->ports));
	if (!target->subsystems || !target->hosts || !target->ports)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the configuration");
	for (size_t i = 0; i < config->num_subsystems && result == NVC_OK; i++)
		result = add_subsystem(
			&target->subsystems[target->num_subsystems++], &config->subsystems[i], err);
	for (size_t i = 0; i < config->num_hosts && result == NVC_OK; i++)
		result = add_host(&target->hosts[target->num_hosts++], &config->hosts[i], err);
	for (size_t i = 0; i < num_ports; i++)
		add_port(&target->ports[target->num_ports++],
			config->num_ports ? &config->ports[i] : &permissive);
	return result;
}

static enum nvc_result set_limits(
	struct nvc_target *target, const struct nvc_target_config *config, struct nvc_error *err)
{
	struct nvc_target_config *limits = &target->limits;

	*limits = *config;
	limits->subsystems = NULL;
	limits->hosts = NULL;
	limits->ports = NULL;
	limits->maxh2cdata = config->maxh2cdata ? config->maxh2cdata : 16384;
	limits->max_c2h_data = config->max_c2h_data ? config->max_c2h_data : 8192;
	limits->psk_lifetime = config->psk_lifetime ? config->psk_lifetime : 3600;
	limits->max_queues = config->max_queues ? config->max_queues : 16;
	limits->max_controllers = config->max_controllers ? config->max_controllers : 1024;
	limits->max_psks = config->max_psks ? config->max_psks : 256;
	if (limits->maxh2cdata % 4 || limits->max_c2h_data % 4 || limits->maxh2cdata > MAX_TRANSFER)
		return nvc_fail(
			err, NVC_E_INVALID, "data limits are multiples of 4 up to 65536 bytes");
	if (limits->cpda > 31)
		return nvc_fail(err, NVC_E_INVALID, "CPDA is at most 31");
	return NVC_OK;
}

struct nvc_target *nvc_target_new(
	const struct nvc_target_config *config, const struct nvc_env *env, struct nvc_error *err)
{
	struct nvc_target *target = calloc(1, sizeof(*target));

	if (!target) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a target");
		return NULL;
	}
	target->env = *env;
	target->service = nvc_target_service_ops;
	target->service.self = target;
	if (set_limits(target, config, err) != NVC_OK ||
		copy_config(target, config, err) != NVC_OK) {
		nvc_target_free(target);
		return NULL;
	}
	target->rules.asked = target->asked; /* a defect is set later and changes nothing above */
	return target;
}

static void free_hosts(struct nvc_target *target)
{
	for (size_t i = 0; i < target->num_hosts; i++) {
		struct host *host = &target->hosts[i];

		nvc_secret_wipe(&host->host_key.secret);
		nvc_secret_wipe(&host->controller_key.secret);
		for (size_t p = 0; p < host->num_psks; p++)
			nvc_secret_wipe(&host->psks[p].key.psk);
		free(host->psks);
	}
	free(target->hosts);
}

void nvc_target_free(struct nvc_target *target)
{
	if (!target)
		return;
	while (target->conns)
		target->service.release(target->conns);
	while (target->psks) {
		struct psk_entry *next = target->psks->next;

		nvc_psk_free(target->psks);
		target->psks = next;
	}
	while (target->sequences) {
		struct sequence *next = target->sequences->next;

		free(target->sequences);
		target->sequences = next;
	}
	while (target->forgotten) {
		struct transaction *next = target->forgotten->next;

		nvc_auth_free(target->forgotten);
		target->forgotten = next;
	}
	for (size_t i = 0; i < NVC_NUM_DHGROUPS; i++)
		nvc_dh_key_free(target->reused_dh[i]);
	free_hosts(target);
	for (size_t i = 0; i < target->num_subsystems; i++)
		free(target->subsystems[i].blocks);
	free(target->subsystems);
	free(target->ports);
	free(target);
}

const struct nvc_service *nvc_target_service(struct nvc_target *target)
{
	return &target->service;
}

void nvc_target_say(const struct nvc_target *target, const char *format, ...)
{
	char text[512];
	va_list args;

	if (!target->limits.log)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	target->limits.log(target->limits.log_self, text);
}

const struct host *nvc_target_host_row(
	const struct nvc_target *target, const char *hostnqn, const char *subnqn)
{
	const struct host *any = NULL;

	for (size_t i = 0; i < target->num_hosts; i++) {
		const struct host *host = &target->hosts[i];

		if (strcmp(host->nqn, hostnqn) != 0)
			continue;
		if (strcmp(host->subnqn, subnqn) == 0)
			return host;
		if (!*host->subnqn && !any)
			any = host;
	}
	return any;
}

const struct subsystem *nvc_target_subsystem_row(const struct nvc_target *target, const char *nqn)
{
	for (size_t i = 0; i < target->num_subsystems; i++)
		if (strcmp(target->subsystems[i].nqn, nqn) == 0)
			return &target->subsystems[i];
	return NULL;
}

uint32_t nvc_target_next_s1(
	struct nvc_target *target, const struct host *host, const struct subsystem *subsystem)
{
	struct sequence *seq = target->sequences;

	while (seq && (seq->host != host || seq->subsystem != subsystem))
		seq = seq->next;
	if (!seq) {
		uint32_t random = 0;

		nvc_env_random(&target->env, &random, sizeof(random));
		seq = calloc(1, sizeof(*seq));
		if (!seq)
			return random ? random : 1;
		seq->host = host;
		seq->subsystem = subsystem;
		seq->s1 = random;
		seq->next = target->sequences;
		target->sequences = seq;
		if (seq->s1 == 0)
			seq->s1 = 1;
		return seq->s1;
	}
	if (KEPT(target, CHAL_S1_NEXT))
		seq->s1 = seq->s1 == UINT32_MAX
				  ? 1
				  : seq->s1 + 1; /* 0 is skipped: Base 2.2 8.3.4.5.3 */
	return seq->s1;
}

/* ---- counters ---- */

static size_t conn_memory(const struct conn *conn)
{
	size_t sum = sizeof(*conn) + conn->in_cap + conn->out_cap;

	for (const struct command *c = conn->commands; c; c = c->next)
		sum += sizeof(*c) + c->len;
	if (conn->tx_auth)
		sum += sizeof(*conn->tx_auth);
	return sum;
}

struct nvc_target_counters nvc_target_counters(const struct nvc_target *target)
{
	struct nvc_target_counters counters = {
		.authenticated = target->num_authenticated, .failed = target->num_failed};

	for (const struct conn *c = target->conns; c; c = c->next) {
		counters.connections++;
		counters.transactions += c->tx_auth != NULL;
		counters.memory += conn_memory(c);
	}
	for (const struct controller *c = target->controllers; c; c = c->next) {
		counters.controllers += !c->ended;
		counters.memory += sizeof(*c);
	}
	for (const struct psk_entry *e = target->psks; e; e = e->next) {
		counters.psks += e->generated;
		counters.memory += sizeof(*e);
	}
	for (const struct transaction *t = target->forgotten; t; t = t->next)
		counters.memory += sizeof(*t);
	return counters;
}
