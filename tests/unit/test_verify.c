/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What replay makes of secrets: responses and identities that verify, that do not, and those of which it cannot be told;
 * and which connections it takes for one association.
 */
#include "capture_town.h"

static struct told told;
static struct nvc_pcapng file;
static struct nvc_dhchap_key host_key, ctrl_key;
static struct nvc_replay_identity identity;

static void setup(void)
{
	host_key = town_key(0x11);
	ctrl_key = town_key(0x22);
	identity = (struct nvc_replay_identity){.host_key = &host_key, .ctrl_key = &ctrl_key};
}

static void teardown(void)
{
	nvc_pcapng_fini(&file);
}

/* Judges what was written with the secrets of `identity`. */
static void judge(void)
{
	const struct nvc_replay_sink sink = {&told, hear};
	const struct nvc_replay_options options = {.identities = &identity, .num_identities = 1};

	memset(&told, 0, sizeof(told));
	told.read = nvc_replay(memory_file(nvc_slice_of(file.data, file.len)), &options, &sink,
		&told.result, &told.err);
	ck_assert_int_eq(told.read, NVC_OK);
}

static struct nvc_queue *open_queue(void)
{
	struct nvc_queue *queue = NULL;

	ck_assert_int_eq(
		nvc_queue_establish(&town.host, &(const struct nvc_queue_options){0}, &queue, NULL),
		NVC_OK);
	return queue;
}

/* One exchange on a connection of its own. */
static enum nvc_auth_outcome_kind exchange(uint8_t dhgid, bool two_way, enum nvc_r1_kind r1)
{
	const struct nvc_auth_offer offer = NVC_OFFER(NVC_HASH_SHA256, dhgid);
	struct nvc_auth *auth = town_auth(&town, open_queue(), NVC_SC_C_NOSC,
		two_way ? NVC_AUTH_BIDIRECTIONAL : NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_outcome outcome;

	auth->offer = offer;
	auth->r1 = r1;
	return nvc_auth_run(auth, &outcome);
}

static void end(bool secrets)
{
	nvc_host_close_all(&town.host);
	finish(secrets, &file);
}

static void assert_verdict(enum nvc_replay_verdict verdict)
{
	ck_assert_msg(told.result.verdict == verdict, "verdict %d: %s", told.result.verdict,
		told.result.reason);
}

static void assert_violated(enum req_id first, enum req_id second)
{
	assert_verdict(NVC_REPLAY_VIOLATED);
	ck_assert_uint_ge(told.result.violations[first], 1);
	ck_assert_uint_ge(told.result.violations[second], 1);
	ck_assert_uint_eq(told.result.violated, first == second ? 1 : 2);
}

/* ---- responses ---- */

START_TEST(right_responses_verify)
{
	static const uint8_t groups[] = {NVC_DH_NULL, NVC_DH_2048, NVC_DH_3072};

	begin(NULL);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(exchange(groups[i], true, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
		ck_assert_int_eq(exchange(groups[i], false, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	}
	end(true);
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_RIGHT], 6 + 3);
	ck_assert_uint_eq(told.num_checks, 9);
}
END_TEST

/* Without exponents only the NULL group can be verified, and it is said. */
START_TEST(without_exponents)
{
	begin(NULL);
	ck_assert_int_eq(exchange(NVC_DH_NULL, true, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	ck_assert_int_eq(exchange(NVC_DH_2048, true, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	end(false);
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_RIGHT], 2);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_NO_EXPONENT], 2);
	identity.ctrl_key = NULL;
	identity.hostnqn = OTHER_NQN;
	judge();
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_NO_SECRET], 4);
	identity.hostnqn = HOST_NQN;
	identity.subnqn = SUB_NQN;
	judge();
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_RIGHT], 1);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_NO_SECRET], 2);
}
END_TEST

/* A secret that verifies nothing is another one than theirs, or both are wrong: that is not to be told. */
START_TEST(wrong_secrets_given)
{
	begin(NULL);
	ck_assert_int_eq(exchange(NVC_DH_NULL, true, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	end(true);
	host_key = town_key(0x77);
	judge();
	assert_verdict(NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_msg(
		strstr(told.result.reason, "R1 does not verify with the secret given") != NULL,
		"%s", told.result.reason);
	host_key = town_key(0x11);
	ctrl_key = town_key(0x77);
	judge();
	assert_verdict(NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_msg(
		strstr(told.result.reason, "R2 does not verify with the secret given") != NULL,
		"%s", told.result.reason);
}
END_TEST

/* Where the same secret verifies another response, before or after, a wrong one that was accepted is a violation of both. */
START_TEST(wrong_r1_accepted)
{
	begin("off:reply-r1");
	if (_i == 0)
		ck_assert_int_eq(exchange(NVC_DH_2048, false, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	ck_assert_int_eq(exchange(NVC_DH_NULL, false, NVC_R1_FLIPPED), NVC_OUTCOME_SUCCESS);
	if (_i == 1)
		ck_assert_int_eq(exchange(NVC_DH_2048, false, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	end(true);
	judge();
	if (_i < 2)
		assert_violated(REQ_C_135, REQ_H_27);
	else
		assert_verdict(NVC_REPLAY_CANNOT_JUDGE);
}
END_TEST

START_TEST(untransformed_r1_accepted)
{
	begin("off:reply-r1");
	ck_assert_int_eq(exchange(NVC_DH_2048, false, NVC_R1_UNTRANSFORMED), NVC_OUTCOME_SUCCESS);
	end(true);
	judge();
	assert_violated(REQ_C_136, REQ_H_27);
}
END_TEST

/* A wrong R1 that is refused is what the rules ask for; a right one that is refused may have met another secret. */
START_TEST(refused_r1)
{
	begin(NULL);
	ck_assert_int_eq(exchange(NVC_DH_NULL, false, NVC_R1_FLIPPED), NVC_OUTCOME_FAILURE1);
	end(true);
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_WRONG], 1);
	nvc_pcapng_fini(&file);

	begin(NULL);
	town.host.host_key = town_key(0x77);
	ck_assert_int_eq(exchange(NVC_DH_NULL, false, NVC_R1_RIGHT), NVC_OUTCOME_FAILURE1);
	end(true);
	host_key = town_key(0x77);
	judge();
	assert_verdict(NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_msg(strstr(told.result.reason, "has it another secret") != NULL, "%s",
		told.result.reason);
}
END_TEST

START_TEST(right_r1_refused_though_known)
{
	begin("alter:r1-sc-c"); /* the target hashes another SC_C: no right R1 is right for it */
	ck_assert_int_eq(exchange(NVC_DH_NULL, false, NVC_R1_RIGHT), NVC_OUTCOME_FAILURE1);
	end(true);
	judge();
	assert_verdict(NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_RIGHT], 1);
}
END_TEST

/* The host refuses a wrong R2; that the secret is theirs shows with a right one. */
START_TEST(wrong_r2)
{
	begin("alter:success1-r2");
	ck_assert_int_ne(exchange(NVC_DH_NULL, true, NVC_R1_RIGHT), NVC_OUTCOME_SUCCESS);
	end(true);
	judge();
	/* nothing shows whose secret it is, and nobody took the response */
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_WRONG], 1);
	assert_verdict(NVC_REPLAY_CLEAN);
}
END_TEST

/* ---- identities and associations ---- */

static void concatenate(const struct nvc_auth_offer *offer, unsigned int replacements)
{
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue;

	ck_assert_int_eq(
		nvc_host_concat(&town.host, NVC_AUTH_BIDIRECTIONAL, offer, &queue, &outcome, NULL),
		NVC_OK);
	while (replacements--)
		ck_assert_int_eq(nvc_auth_authenticate(queue, NVC_SC_C_REPLACETLSPSK,
					 NVC_AUTH_CONCAT_UNI, offer, &outcome),
			NVC_OUTCOME_SUCCESS);
	ck_assert_int_eq(nvc_host_admin_over_tls(&town.host, NULL, &queue, NULL), NVC_OK);
}

START_TEST(generated_identities)
{
	const uint8_t hash = _i == 0 ? NVC_HASH_SHA256 : NVC_HASH_SHA384;
	const struct nvc_auth_offer offer = NVC_OFFER(hash, NVC_DH_2048);

	begin(NULL);
	concatenate(&offer, 2);
	end(true);
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.identities[NVC_PROOF_RIGHT], 2);
	ck_assert_uint_eq(told.result.binders[NVC_PROOF_RIGHT], 2);
	ck_assert_uint_eq(told.result.associations, 1);
	ck_assert_uint_eq(told.association, 1);
	ck_assert_msg(strstr(told.association_text, "over TLS under its PSK 3") != NULL, "%s",
		told.association_text);
}
END_TEST

/* Without the exponents the digests are not known: the connections are paired by the names, and the identities not verified. */
START_TEST(identities_without_exponents)
{
	char *line, *next;

	begin(NULL);
	concatenate(NULL, 1);
	end(false);
	/* the key log without its lines of exponents */
	for (line = keylog; (line = strstr(line, NVC_DHCHAP_EXPONENT_LABEL)) != NULL;) {
		next = strchr(line, '\n') + 1;
		memmove(line, next, strlen(next) + 1);
	}
	replay_with(nvc_slice_of(file.data, file.len), nvc_slice_str(keylog), &told);
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.identities[NVC_PROOF_NO_EXPONENT], 2);
	ck_assert_uint_eq(told.result.binders[NVC_PROOF_NO_EXPONENT], 2);
	ck_assert_uint_eq(told.result.responses[NVC_PROOF_NO_SECRET], 3);
	ck_assert_uint_eq(told.association, 1);
	ck_assert_msg(strstr(told.association_text, "over TLS under its PSK 2") != NULL, "%s",
		told.association_text);
}
END_TEST

START_TEST(replaced_psk_still_taken)
{
	struct nvc_auth_outcome outcome;
	struct nvc_tls_psk first;
	struct nvc_queue *queue;

	begin("old-psk-survives-replace");
	ck_assert_int_eq(
		nvc_host_concat(&town.host, NVC_AUTH_BIDIRECTIONAL, NULL, &queue, &outcome, NULL),
		NVC_OK);
	first = town.host.psk;
	ck_assert_int_eq(nvc_auth_authenticate(queue, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI,
				 NULL, &outcome),
		NVC_OUTCOME_SUCCESS);
	ck_assert_int_eq(nvc_host_admin_over_tls(&town.host, &first, &queue, NULL), NVC_OK);
	end(true);
	judge();
	ck_assert_uint_eq(told.result.violations[REQ_C_206], 1);
	ck_assert_uint_eq(told.result.violations[REQ_H_64], 1);
	assert_verdict(NVC_REPLAY_VIOLATED);
}
END_TEST

/* Connects with a configured PSK under its identity; `bend` changes a byte of the TLS PSK, not of the identity. */
static bool connect_configured(
	const struct nvc_tls_key *psk, uint8_t version, enum nvc_kdf_variant variant, bool bend)
{
	struct nvc_secret retained = {.len = 0};
	struct nvc_psk_params params = {.version = version,
		.type = NVC_PSK_RETAINED,
		.hash_id = NVC_HASH_SHA256,
		.hostnqn = nvc_slice_str(PSK_NQN),
		.subnqn = nvc_slice_str(SUB_NQN)};
	struct nvc_tls_psk used = {.hash_id = NVC_HASH_SHA256};
	struct nvc_queue *queue;

	town.host.hostnqn = PSK_NQN;
	ck_assert_int_eq(nvc_psk_retained(psk, params.hostnqn, NVC_KDF_RFC8446, &retained), NVC_OK);
	params.psk = nvc_secret_slice(&retained);
	ck_assert_int_eq(
		nvc_tls_psk_identity(&params, used.identity, sizeof(used.identity)), NVC_OK);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, variant, &used.psk), NVC_OK);
	if (bend)
		used.psk.data[0] ^= 1;
	return nvc_host_admin_over_tls(&town.host, &used, &queue, NULL) == NVC_OK;
}

/* A configured PSK, and another one than it; an identity of version 0 has no digest, but a binder. */
START_TEST(configured_identity)
{
	struct nvc_tls_key psk = town_psk();

	begin(NULL);
	ck_assert(connect_configured(&psk, (uint8_t)_i, NVC_KDF_RFC8446, false));
	end(true);
	identity.psk = &psk;
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.identities[_i ? NVC_PROOF_RIGHT : NVC_PROOF_NO_SECRET], 1);
	ck_assert_uint_eq(told.result.binders[NVC_PROOF_RIGHT], 1);
	psk.psk.data[0] ^= 1;
	judge();
	assert_verdict(NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_msg(strstr(told.result.reason, "wrong PSK?") != NULL, "%s", told.result.reason);
	ck_assert_uint_eq(told.result.binders[_i ? NVC_PROOF_NO_SECRET : NVC_PROOF_WRONG], 1);
	identity.psk = NULL;
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.binders[NVC_PROOF_NO_SECRET], 1);
}
END_TEST

/* ---- binders ---- */

/* The identity says which PSK it is, and the binder is not that one's: the host is to blame. Without a digest it may be that
 * another PSK was given than theirs, and nobody is. */
START_TEST(wrong_binder_refused)
{
	struct nvc_tls_key psk = town_psk();

	begin(NULL);
	ck_assert(!connect_configured(&psk, (uint8_t)_i, NVC_KDF_RFC8446, true));
	end(true);
	identity.psk = &psk;
	judge();
	ck_assert_uint_eq(told.result.binders[NVC_PROOF_WRONG], 1);
	ck_assert_uint_eq(told.result.violations[REQ_H_59], (unsigned int)_i);
	ck_assert_uint_eq(told.result.violations[REQ_C_223], 0);
}
END_TEST

/* Changes the last byte of the first ClientHello of the file, which is one of the binder. */
static void bend_binder(void)
{
	static const uint8_t head[] = {22, 3, 1};

	for (size_t at = 0; at + 9 < file.len; at++) {
		uint8_t *record = file.data + at;
		const size_t len = (size_t)(record[3] << 8 | record[4]);

		if (memcmp(record, head, sizeof(head)) != 0 || record[5] != 1)
			continue;
		ck_assert_uint_lt(at + 5 + len, file.len);
		record[5 + len - 1] ^= 1;
		return;
	}
	ck_abort_msg("there is no ClientHello");
}

/* A handshake that went on all the same: the controller is to blame as well. */
START_TEST(wrong_binder_accepted)
{
	begin(NULL);
	concatenate(NULL, 0);
	end(true);
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	bend_binder();
	judge();
	assert_violated(REQ_H_59, REQ_C_223);
}
END_TEST

/* The same PSK, derived as hosts and targets once did. */
START_TEST(binder_of_another_derivation)
{
	struct nvc_tls_key psk = town_psk();

	begin("hkdf-no-length-octets");
	ck_assert(connect_configured(&psk, 1, NVC_KDF_NO_LENGTH_OCTETS, false));
	end(true);
	identity.psk = &psk;
	judge();
	assert_violated(REQ_H_59, REQ_C_223);
	ck_assert_msg(strstr(told.seen, "derived as no-length-octets") != NULL, "%s", told.seen);
}
END_TEST

START_TEST(io_queues_belong_to_their_controller)
{
	struct nvc_auth_outcome outcome;
	struct nvc_queue *admin, *io;

	begin(NULL);
	ck_assert_int_eq(
		nvc_host_concat(&town.host, NVC_AUTH_BIDIRECTIONAL, NULL, &admin, &outcome, NULL),
		NVC_OK);
	ck_assert_int_eq(nvc_do_enable(admin, NULL), NVC_OK);
	ck_assert_int_eq(nvc_host_io(&town.host, admin, 1, &town.host.psk, &io, NULL), NVC_OK);
	end(true);
	judge();
	assert_verdict(NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.result.associations, 1);
	ck_assert_uint_eq(told.association, 1);
	ck_assert_msg(strstr(told.association_text, "I/O queue 1 over TLS under its PSK 1") != NULL,
		"%s", told.association_text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("verification");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 120);
	tcase_add_checked_fixture(core, setup, teardown);
	tcase_add_test(core, right_responses_verify);
	tcase_add_test(core, without_exponents);
	tcase_add_test(core, wrong_secrets_given);
	tcase_add_loop_test(core, wrong_r1_accepted, 0, 3);
	tcase_add_test(core, untransformed_r1_accepted);
	tcase_add_test(core, refused_r1);
	tcase_add_test(core, right_r1_refused_though_known);
	tcase_add_test(core, wrong_r2);
	tcase_add_loop_test(core, generated_identities, 0, 2);
	tcase_add_test(core, identities_without_exponents);
	tcase_add_test(core, replaced_psk_still_taken);
	tcase_add_loop_test(core, configured_identity, 0, 2);
	tcase_add_loop_test(core, wrong_binder_refused, 0, 2);
	tcase_add_test(core, wrong_binder_accepted);
	tcase_add_test(core, binder_of_another_derivation);
	tcase_add_test(core, io_queues_belong_to_their_controller);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
