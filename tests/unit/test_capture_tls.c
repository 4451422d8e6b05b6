/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host and the reference target talk over TLS, what went over the network is written as a capture, and replay decrypts and
 * judges it: with the secrets inside, with a key log beside it, without keys, with wrong ones, and with a defect.
 */
#include "capture_town.h"

static struct told told;

/* NEWTLSPSK in clear, TLS under its PSK, REPLACETLSPSK, KeyUpdate of both sides, and commands before and after. */
static void talk(const struct nvc_auth_offer *offer)
{
	struct nvc_auth_outcome outcome;
	struct nvc_completion done;
	struct nvc_queue *queue;

	ck_assert_int_eq(
		nvc_host_concat(&town.host, NVC_AUTH_CONCAT_UNI, offer, &queue, &outcome, NULL),
		NVC_OK);
	ck_assert_int_eq(nvc_auth_authenticate(queue, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI,
				 offer, &outcome),
		NVC_OUTCOME_SUCCESS);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(nvc_tls_key_update(nvc_queue_tls_stream(queue)), NVC_OK);
		ck_assert_int_eq(nvc_do_property_get(queue, NVC_PROP_CSTS, &done, NULL), NVC_OK);
		ck_assert_int_eq(done.status, NVC_SC_SUCCESS);
	}
	nvc_host_close_all(&town.host);
}

static void assert_clean(void)
{
	ck_assert_msg(told.read == NVC_OK, "%s", told.err.text);
	ck_assert_msg(told.result.verdict == NVC_REPLAY_CLEAN, "%s", told.result.reason);
	ck_assert_uint_eq(told.result.nvme, 2);
	ck_assert_uint_eq(told.result.nvme_tls, 1);
	/* 2 for the queue, 2 for Connect, 10 for a transaction, twice; 2 for each Property Get */
	ck_assert_uint_eq(told.result.pdus, 2 * 14 + 3 * 2);
}

static void assert_not_judged(const char *why)
{
	ck_assert_msg(told.read == NVC_OK, "%s", told.err.text);
	ck_assert_int_eq(told.result.verdict, NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_uint_eq(told.num_violations, 0);
	ck_assert_msg(strstr(told.unjudged, why) != NULL, "%s", told.unjudged);
}

/* Both cipher suites: that of the PSK's hash. */
START_TEST(secrets_inside)
{
	const uint8_t hash = _i == 0 ? NVC_HASH_SHA256 : NVC_HASH_SHA384;
	const struct nvc_auth_offer offer = NVC_OFFER(hash, NVC_DH_2048);
	struct nvc_pcapng file;

	begin(NULL);
	talk(&offer);
	finish(true, &file);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	assert_clean();
	ck_assert_uint_ge(told.result.secrets, 4);
}
END_TEST

START_TEST(key_log_beside)
{
	struct nvc_pcapng file;

	begin(NULL);
	talk(NULL);
	finish(false, &file);
	replay_with(nvc_slice_of(file.data, file.len), nvc_slice_str(keylog), &told);
	assert_clean();
	replay(nvc_slice_of(file.data, file.len), &told);
	assert_not_judged("there are no keys for it");
	ck_assert_uint_eq(told.result.nvme, 1); /* the part in clear */
	nvc_pcapng_fini(&file);
}
END_TEST

START_TEST(wrong_keys)
{
	struct nvc_pcapng file;

	begin(NULL);
	talk(NULL);
	finish(false, &file);
	/* Every last digit of a secret is another one. */
	for (char *at = keylog; *at; at++)
		if (at[1] == '\n')
			*at = *at == '0' ? '1' : '0';
	replay_with(nvc_slice_of(file.data, file.len), nvc_slice_str(keylog), &told);
	assert_not_judged("the keys do not fit");
	nvc_pcapng_fini(&file);
}
END_TEST

/* One byte of every record of data in turn: never read, never clean. */
START_TEST(changed_record)
{
	struct nvc_pcapng file;
	struct nvc_slice changed;
	static struct frames frames;
	size_t tried = 0;

	begin(NULL);
	talk(NULL);
	finish(false, &file);
	read_frames(nvc_slice_of(file.data, file.len), &frames);
	nvc_pcapng_fini(&file);
	for (size_t i = 0; i < frames.num; i++) {
		uint8_t *record = frames.at[i].bytes + 54; /* Ethernet, IPv4, TCP */

		if (frames.at[i].len < 54 + 30 || record[0] != 23 || record[1] != 3)
			continue;
		record[20] ^= 1;
		changed = write_pcap(&frames, NVC_LINK_ETHERNET);
		replay_with(changed, nvc_slice_str(keylog), &told);
		free((void *)(uintptr_t)changed.data);
		record[20] ^= 1;
		ck_assert_int_eq(told.result.verdict, NVC_REPLAY_CANNOT_JUDGE);
		ck_assert_uint_eq(told.num_violations, 0);
		tried++;
	}
	ck_assert_uint_gt(tried, 10);
}
END_TEST

/* The capture ends inside each record of data in turn. */
START_TEST(ends_inside_a_record)
{
	struct nvc_pcapng file;
	struct nvc_slice cut;
	static struct frames frames, whole;
	size_t tried = 0;

	begin(NULL);
	talk(NULL);
	finish(false, &file);
	read_frames(nvc_slice_of(file.data, file.len), &whole);
	nvc_pcapng_fini(&file);
	for (size_t i = 0; i < whole.num; i++) {
		const uint8_t *record = whole.at[i].bytes + 54; /* Ethernet, IPv4, TCP */

		if (whole.at[i].len < 54 + 30 || record[0] != 23 || record[1] != 3)
			continue;
		frames = whole;
		frames.num = i + 1;
		shorten(&frames, i, 3);
		cut = write_pcap(&frames, NVC_LINK_ETHERNET);
		replay_with(cut, nvc_slice_str(keylog), &told);
		free((void *)(uintptr_t)cut.data);
		assert_not_judged("ends inside a TLS record of the ");
		tried++;
	}
	ck_assert_uint_gt(tried, 10);
}
END_TEST

START_TEST(defect_over_tls)
{
	struct nvc_pcapng file;

	begin("c1-static");
	talk(NULL);
	finish(true, &file);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	ck_assert_int_eq(told.result.verdict, NVC_REPLAY_VIOLATED);
	/* C1 repeats itself with the second Challenge, which is over TLS. */
	ck_assert_uint_eq(told.num_violations, 1);
	ck_assert_str_eq(nvc_requirement(told.violation)->id, "C-124");
}
END_TEST

/* The bug this suite began with: the second REPLACETLSPSK is refused, as the queue has forgotten that it is TLS. */
START_TEST(second_replacement_refused)
{
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue;
	struct nvc_pcapng file;

	begin(_i ? "free-sq-on-success" : NULL);
	ck_assert_int_eq(
		nvc_host_concat(&town.host, NVC_AUTH_CONCAT_UNI, NULL, &queue, &outcome, NULL),
		NVC_OK);
	for (int round = 0; round < 2; round++)
		nvc_auth_authenticate(
			queue, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL, &outcome);
	ck_assert_int_eq(outcome.kind, _i ? NVC_OUTCOME_FAILURE1 : NVC_OUTCOME_SUCCESS);
	nvc_host_close_all(&town.host);
	finish(true, &file);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	ck_assert_int_eq(told.result.verdict, _i ? NVC_REPLAY_VIOLATED : NVC_REPLAY_CLEAN);
	ck_assert_uint_eq(told.num_violations, _i ? 1 : 0);
	if (_i)
		ck_assert_str_eq(nvc_requirement(told.violation)->id, "C-205");
}
END_TEST

/* A PSK that nobody knows: there is no session, so nothing is left unjudged. */
START_TEST(refused_handshake)
{
	struct nvc_tls_psk psk = {.identity = "NVMe1G01 nobody nothing "
					      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		.psk.len = 32,
		.hash_id = NVC_HASH_SHA256};
	const struct nvc_queue_options options = {.tls = &psk};
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue;
	struct nvc_pcapng file;

	begin(NULL);
	ck_assert_int_ne(nvc_queue_open(&town.host, &options, &queue, NULL), NVC_OK);
	ck_assert_int_eq(
		nvc_host_admin(&town.host, NULL, NVC_AUTH_BIDIRECTIONAL, &queue, &outcome, NULL),
		NVC_OK);
	nvc_host_close_all(&town.host);
	finish(true, &file);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	ck_assert_msg(told.result.verdict == NVC_REPLAY_CLEAN, "%s", told.result.reason);
	ck_assert_uint_eq(told.result.nvme, 1);
	ck_assert_uint_eq(told.result.connections, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("capture of TLS");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 120);
	tcase_add_loop_test(core, secrets_inside, 0, 2);
	tcase_add_test(core, key_log_beside);
	tcase_add_test(core, wrong_keys);
	tcase_add_test(core, changed_record);
	tcase_add_test(core, ends_inside_a_record);
	tcase_add_test(core, defect_over_tls);
	tcase_add_loop_test(core, second_replacement_refused, 0, 2);
	tcase_add_test(core, refused_handshake);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
