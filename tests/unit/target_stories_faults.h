/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of odd but legal messages, of messages out of place and of ends at the wrong time; for test_target_with_host.c. */
#ifndef TARGET_STORIES_FAULTS_H
#define TARGET_STORIES_FAULTS_H

#include "target_stories_auth.h"

/* ---- lists and descriptors ---- */

static const char *odd_lists_are_read(struct town *town)
{
	static const uint8_t vendor[64] = {0xe0};
	struct nvc_auth_offer full = {.num_hashes = 30, .num_dhgroups = 30};
	struct nvc_auth_outcome outcome;
	struct nvc_auth *auth;

	/* Unknown ids are skipped, the last of 30 places counts. */
	memset(full.hash_ids, 0x7f, sizeof(full.hash_ids));
	memset(full.dh_ids, 0x7f, sizeof(full.dh_ids));
	full.hash_ids[29] = NVC_HASH_SHA384;
	full.dh_ids[29] = NVC_DH_NULL;
	MUST(authenticate(fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL, &full) == 0);
	full.num_hashes = 29; /* what lies behind HALEN does not */
	MUST(authenticate(fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL, &full) == 4);
	full.num_hashes = 30;
	full.num_dhgroups = 29;
	MUST(authenticate(fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL, &full) == 5);
	full.num_dhgroups = 0;
	MUST(authenticate(fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL, &full) == 6);
	/* Two descriptors, ours first. */
	auth = town_auth(town, fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL);
	auth->extra_descriptors = NVC_SLICE(vendor);
	MUST(nvc_auth_run(auth, &outcome) == NVC_OUTCOME_SUCCESS);
	return NULL;
}

/* A message of two descriptors, the second ours, and reserved bytes that are not zero. */
static const char *second_descriptor_counts(struct town *town)
{
	uint8_t message[8 + 128] = {0};
	struct nvc_auth *auth = town_auth(town, fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_received got;

	message[2] = message[3] = 0xff;
	nvc_put_le(message + 4, auth->t_id, 2);
	message[7] = 2;
	message[8] = 0xe0;
	message[72] = 1;
	message[73] = 0xff;
	message[74] = message[75] = 1;
	message[72 + 4] = NVC_HASH_SHA256;
	message[72 + 34] = NVC_DH_2048;
	DONE(nvc_auth_send_raw(auth, NVC_SLICE(message), NULL));
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.kind == NVC_RECEIVED_MESSAGE && got.message == NVC_MSG_CHALLENGE);
	MUST(nvc_reserved_is_zero(&nvc_challenge_layout, got.raw, NULL));
	return NULL;
}

/* ---- messages out of place ---- */

static bool refused_as_message(struct nvc_auth *auth)
{
	struct nvc_auth_received got;

	return nvc_auth_receive(auth, &got, NULL) == NVC_OK && got.message == NVC_MSG_FAILURE1 &&
	       got.failure.rcode == NVC_RCODE_FAILURE && got.failure.rcodeex == NVC_RCODEEX_MESSAGE;
}

static const char *every_place_has_its_message(struct town *town)
{
	static const uint8_t reply[80] = {1, 2}, success2[16] = {1, 4}, challenge[48] = {1, 1};
	static const struct nvc_slice odd[] = {{reply, 80}, {success2, 16}, {challenge, 48}};
	struct nvc_auth_received got;
	struct nvc_auth *auth = town_auth(town, fresh_queue(town), 0, NVC_AUTH_BIDIRECTIONAL);

	/* state 0: idle, 1: Challenge ready, 2: Challenge read, 3: Success1 ready, 4: Success1 read */
	for (int state = 0; state < 5; state++) {
		for (size_t i = 0; i < 4; i++) {
			if ((state == 2 && i == 0) || (state == 4 && i == 1) ||
				(i == 3 && state % 2))
				continue;
			auth->queue = fresh_queue(town);
			nvc_auth_renew(auth);
			if (state > 0)
				DONE(nvc_auth_send_negotiate(auth, NULL));
			if (state > 1)
				DONE(nvc_auth_receive(auth, NULL, NULL));
			if (state > 2)
				DONE(nvc_auth_send_reply(auth, NULL));
			if (state > 3)
				DONE(nvc_auth_receive(auth, &got, NULL));
			if (i < 3)
				DONE(nvc_auth_send_raw(auth, odd[i], NULL));
			MUST(auth->status == 0 && refused_as_message(auth));
			nvc_host_close_all(&town->host);
		}
	}
	return NULL;
}

static const char *success2_has_its_t_id(struct town *town)
{
	const struct nvc_bend bend = SET("t_id", 0x7777);
	const struct nvc_bends bends = {&bend, 1};
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_auth *auth = town_auth(town, queue, 0, NVC_AUTH_BIDIRECTIONAL);

	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	auth->success2_bends = &bends;
	DONE(nvc_auth_send_success2(auth, NULL));
	MUST(property_status(queue) == NVC_SC_AUTH_REQUIRED && refused_as_message(auth));
	return NULL;
}

/* Command fields of Authentication Send: an error status, and the transaction can still be done. */
static const char *command_fields_are_judged(struct town *town)
{
	const struct nvc_bend bends[] = {SET("secp", 0xea), SET("spsp0", 0), SET("spsp1", 2)};
	struct nvc_auth *auth = town_auth(town, fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_received got;
	struct nvc_auth_outcome outcome;

	for (size_t i = 0; i < 3; i++) {
		const struct nvc_bends list = {&bends[i], 1};

		auth->send_bends = auth->receive_bends = &list;
		DONE(nvc_auth_send_negotiate(auth, NULL));
		MUST(auth->status == NVC_SC_INVALID_FIELD);
		DONE(nvc_auth_receive(auth, &got, NULL));
		MUST(got.kind == NVC_RECEIVED_STATUS && got.status == NVC_SC_INVALID_FIELD);
	}
	auth->send_bends = auth->receive_bends = NULL;
	DONE(nvc_auth_send_raw(auth, nvc_slice_of("", 0), NULL));
	MUST(auth->status == NVC_SC_INVALID_FIELD);
	MUST(nvc_auth_run(auth, &outcome) == NVC_OUTCOME_SUCCESS);
	return NULL;
}

/* Success1 has 16 + HL bytes, also with nothing to say. */
static const char *success1_is_whole(struct town *town)
{
	struct nvc_auth *auth = town_auth(town, fresh_queue(town), 0, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_received got;

	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_SUCCESS1 && got.raw.len == 16 + 32);
	return NULL;
}

/* p - 1 and p as public values, and a proof asked of a controller that has no key. */
static const char *more_refusals(struct town *town)
{
	uint8_t value[256];
	struct nvc_bend bend = {"dhval", NVC_BEND_BYTES, 0, NVC_SLICE(value)};
	struct nvc_slice p = nvc_dh_prime(NVC_DH_2048);

	for (uint8_t below = 0; below < 2; below++) {
		const struct fault fault = {.group = NVC_DH_2048, .message = "reply", .bend = bend};
		struct nvc_queue *queue;

		memcpy(value, p.data, sizeof(value));
		value[255] = (uint8_t)(value[255] - below);
		MUST(with_fault(town, &fault, &queue) == NVC_RCODEEX_PAYLOAD);
	}
	town->host.hostnqn = OPEN_NQN;
	town->host.host_key = town_key(0x44);
	MUST(authenticate(fresh_queue(town), 0, NVC_AUTH_BIDIRECTIONAL, NULL) ==
		NVC_RCODEEX_FAILED);
	return NULL;
}

/* ---- ends at the wrong time ---- */

static const char *reset_ends_a_transaction(struct town *town)
{
	struct nvc_queue *admin = authenticated(town);
	struct nvc_auth *auth;

	MUST(admin);
	auth = town_auth(town, admin, 0, NVC_AUTH_UNIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_do_reset(admin, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	MUST(auth->status == NVC_SC_COMMAND_SEQUENCE);
	MUST(property_status(admin) == 0);
	return NULL;
}

static const char *loss_leaves_nothing(struct town *town)
{
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_auth *auth = town_auth(town, queue, 0, NVC_AUTH_BIDIRECTIONAL);
	size_t first = 0, memory;

	for (int i = 0; i < 3; i++) {
		auth->queue = fresh_queue(town);
		nvc_auth_renew(auth);
		DONE(nvc_auth_send_negotiate(auth, NULL));
		if (i)
			DONE(nvc_auth_receive(auth, NULL, NULL));
		nvc_host_close_all(&town->host);
		town->world.wait_until(
			town->world.self, nvc_env_now(&town->world.env) + NVC_SEC(1));
		memory = nvc_target_counters(town->target).memory;
		if (i == 0)
			first = memory;
		MUST(memory == first && nvc_target_counters(town->target).connections == 0);
	}
	return NULL;
}

/* Without KATO the timer is 120 s; two-way re-authentications keep nothing. */
static const char *no_kato(struct town *town)
{
	struct nvc_queue *queue;
	uint64_t start;
	enum nvc_end end;
	size_t before;

	town->host.kato = 0;
	queue = fresh_queue(town);
	start = nvc_env_now(&town->world.env);
	DONE(nvc_queue_await_end(queue, NVC_SEC(300), &end, NULL));
	MUST(end != NVC_END_OPEN && nvc_env_now(&town->world.env) - start >= NVC_SEC(119));
	queue = authenticated(town);
	MUST(queue && authenticate(queue, 0, NVC_AUTH_BIDIRECTIONAL, NULL) == 0);
	before = nvc_target_counters(town->target).memory;
	MUST(authenticate(queue, 0, NVC_AUTH_BIDIRECTIONAL, NULL) == 0);
	MUST(nvc_target_counters(town->target).memory == before);
	return NULL;
}

/* After a refused re-authentication commands are denied, even before AUTH_Failure1 is read. */
static const char *refused_queue_is_shut(struct town *town)
{
	struct nvc_queue *admin = authenticated(town);
	struct nvc_auth *auth;

	MUST(admin);
	auth = town_auth(town, admin, 0, NVC_AUTH_UNIDIRECTIONAL);
	auth->r1 = NVC_R1_FLIPPED;
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	MUST(property_status(admin) == NVC_SC_OPERATION_DENIED);
	return NULL;
}

/* No PSK comes of a wrong R1 or an AUTH_Failure2. */
static const char *failures_make_no_psk(struct town *town)
{
	for (int i = 0; i < 2; i++) {
		struct nvc_auth *auth = town_auth(
			town, fresh_queue(town), NVC_SC_C_NEWTLSPSK, NVC_AUTH_BIDIRECTIONAL);
		struct nvc_tls_psk psk;
		struct nvc_queue *other;

		auth->r1 = i ? NVC_R1_RIGHT : NVC_R1_FLIPPED;
		DONE(nvc_auth_send_negotiate(auth, NULL));
		DONE(nvc_auth_receive(auth, NULL, NULL));
		DONE(nvc_auth_send_reply(auth, NULL));
		DONE(nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, NULL));
		if (i)
			DONE(nvc_auth_send_failure2(auth, 1, NULL));
		else
			DONE(nvc_auth_receive(auth, NULL, NULL));
		MUST(nvc_host_admin_over_tls(&town->host, &psk, &other, NULL) != NVC_OK);
	}
	return NULL;
}

static const char *failure2_ends_the_association(struct town *town)
{
	struct nvc_queue *admin = authenticated(town), *io;
	struct nvc_auth *auth;

	MUST(admin && nvc_host_io(&town->host, admin, 1, NULL, &io, NULL) == NVC_OK);
	auth = town_auth(town, admin, 0, NVC_AUTH_UNIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_send_failure2(auth, 1, NULL));
	MUST(ends(admin) && ends(io));
	return NULL;
}

/* ---- PSKs and ports ---- */

static const char *replace_after_a_stall(struct town *town)
{
	struct nvc_auth_outcome outcome;
	struct nvc_completion done;
	struct nvc_queue *admin;
	struct nvc_auth *auth;

	DONE(nvc_host_concat(&town->host, NVC_AUTH_CONCAT_UNI, NULL, &admin, &outcome, NULL));
	auth = town_auth(town, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	for (int i = 0; i < 4; i++) {
		town->world.wait_until(
			town->world.self, nvc_env_now(&town->world.env) + NVC_SEC(40));
		DONE(nvc_do_property_get(admin, NVC_PROP_CSTS, &done, NULL));
	}
	MUST(authenticate(admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 0);
	return NULL;
}

static const char *psk_dies_of_age(struct town *town)
{
	struct nvc_auth_outcome outcome;
	struct nvc_queue *other;
	struct nvc_tls_psk wrong;

	DONE(nvc_host_new_tls_psk(&town->host, NVC_AUTH_CONCAT_UNI, NULL, &outcome, NULL));
	wrong = town->host.psk;
	wrong.identity[7] = '2'; /* NVMe1G02 */
	MUST(nvc_host_admin_over_tls(&town->host, &wrong, &other, NULL) != NVC_OK);
	town->world.wait_until(town->world.self, nvc_env_now(&town->world.env) + NVC_SEC(3590));
	DONE(nvc_host_admin_over_tls(&town->host, NULL, &other, NULL));
	town->world.wait_until(town->world.self, nvc_env_now(&town->world.env) + NVC_SEC(20));
	MUST(nvc_host_admin_over_tls(&town->host, NULL, &other, NULL) != NVC_OK);
	return NULL;
}

static const char *configured_psk_works(struct town *town)
{
	const struct nvc_tls_key key = town_psk();
	struct nvc_secret retained;
	struct nvc_psk_params params = {.type = NVC_PSK_RETAINED,
		.hash_id = NVC_HASH_SHA256,
		.hostnqn = nvc_slice_str(PSK_NQN),
		.subnqn = nvc_slice_str(SUB_NQN)};
	struct nvc_tls_psk psk = {.hash_id = NVC_HASH_SHA256};
	struct nvc_queue *queue = NULL;

	DONE(nvc_psk_retained(&key, params.hostnqn, NVC_KDF_RFC8446, &retained));
	params.psk = nvc_secret_slice(&retained);
	town->host.hostnqn = PSK_NQN;
	town->host.host_key = town_key(0x55);
	for (params.version = 0; params.version <= 1; params.version++) {
		DONE(nvc_tls_psk_identity(&params, psk.identity, sizeof(psk.identity)));
		DONE(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &psk.psk));
		DONE(nvc_host_admin_over_tls(&town->host, &psk, &queue, NULL));
		MUST(property_status(queue) == 0);
	}
	MUST(authenticate(queue, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 3);
	return NULL;
}

static const char *ports_keep_to_their_channel(struct town *town)
{
	const struct nvc_queue_options clear = {.port = NVC_PORT_TLS_ONLY};
	struct nvc_queue_options options = {.qid = 1};
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue = NULL, *admin;

	MUST(nvc_queue_establish(&town->host, &clear, &queue, NULL) != NVC_OK);
	MUST(!queue || !nvc_queue_info(queue)->initialised);
	DONE(nvc_host_concat(&town->host, NVC_AUTH_CONCAT_UNI, NULL, &admin, &outcome, NULL));
	DONE(nvc_do_enable(admin, NULL));
	options.admin = admin;
	options.tls = &town->host.psk;
	DONE(nvc_queue_establish(&town->host, &options, &queue, NULL));
	MUST(authenticate(queue, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 3);
	return NULL;
}

/* ---- transport details the host emulator watches ---- */

static const char *pdus_are_well_made(struct town *town)
{
	const struct nvc_bend bend = SET("flags", NVC_PSDT_SGL_10B);
	const struct nvc_cmd_nvme identify = {
		.head.opc = NVC_ADMIN_IDENTIFY, .cdw10 = NVC_CNS_CONTROLLER};
	const struct nvc_bends bends = {&bend, 1};
	const struct nvc_command command = {.layout = &nvc_cmd_nvme_layout,
		.fields = &identify,
		.in_len = NVC_IDENTIFY_LEN,
		.bends = &bends};
	struct nvc_completion done;
	struct nvc_queue *queue;

	town->host.ic.dgst = NVC_DGST_HEADER | NVC_DGST_DATA;
	town->host.ic.pda = 7;
	queue = authenticated(town);
	MUST(queue);
	for (int i = 0; i < 40; i++) {
		DONE(nvc_queue_do(queue, &command, &done, NULL));
		MUST(done.status == 0 && done.data_last && !done.data_digest_wrong);
		MUST(done.cqe.sqhd <= 31 && !(done.cqe.status_field & 1));
	}
	MUST(nvc_queue_info(queue)->num_violations == 0);
	return NULL;
}

#endif
