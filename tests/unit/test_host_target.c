/* SPDX-License-Identifier: BSD-3-Clause */
/* The host emulator and the reference target in one simulated world: the roads that every case walks. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"
#include "stream/sim.h"
#include "target/target.h"

#define HOST_NQN "nqn.2014-08.org.example:host"
#define SUB_NQN	 "nqn.2014-08.org.example:subsystem"

struct town {
	struct nvc_sim *sim;
	struct nvc_world world;
	struct nvc_env env;
	struct nvc_target *target;
	struct nvc_host host;
};

static struct nvc_dhchap_key a_key(uint8_t fill)
{
	struct nvc_dhchap_key key = {.hash_id = NVC_HASH_SHA256, .secret.len = 32};

	memset(key.secret.data, fill, key.secret.len);
	return key;
}

static struct town *town_new(enum nvc_policy concat)
{
	struct town *town = calloc(1, sizeof(*town));
	const struct nvc_target_subsystem subsystems[] = {{.nqn = SUB_NQN},
		{.nqn = NVC_DISCOVERY_NQN, .discovery = true, .allow_any_host = true}};
	const struct nvc_target_host hosts[] = {{.hostnqn = HOST_NQN,
		.host_key = a_key(0x11),
		.controller_key = a_key(0x22),
		.auth = NVC_POLICY_REQUIRED,
		.concat = concat}};
	const struct nvc_target_config config = {
		.subsystems = subsystems, .num_subsystems = 2, .hosts = hosts, .num_hosts = 1};
	struct nvc_error err = {0};

	ck_assert_ptr_nonnull(town);
	town->sim = nvc_sim_new(7);
	town->env = nvc_sim_env(town->sim, "target");
	town->target = nvc_target_new(&config, &town->env, &err);
	ck_assert_msg(town->target != NULL, "%s", err.text);
	ck_assert_int_eq(nvc_sim_listen(town->sim, 4420, nvc_target_service(town->target)), NVC_OK);
	town->world = nvc_sim_world(town->sim);
	nvc_host_init(&town->host, &town->world);
	town->host.addresses[NVC_PORT_MAIN] = (struct nvc_address){"sim", "4420"};
	town->host.hostnqn = HOST_NQN;
	town->host.subnqn = SUB_NQN;
	town->host.host_key = a_key(0x11);
	town->host.ctrl_key = a_key(0x22);
	town->host.has_host_key = town->host.has_ctrl_key = true;
	/* The road counts here, not the arithmetic: the smallest groups. */
	town->host.offer.num_dhgroups = 2;
	return town;
}

static void town_close(struct town *town)
{
	nvc_host_fini(&town->host);
	nvc_sim_free(town->sim);
	nvc_target_free(town->target);
	free(town);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		struct nvc_error err = {0};                                                        \
		ck_assert_msg((call) == NVC_OK, "%s", err.text);                                   \
	} while (0)

static void expect_success(const struct nvc_auth_outcome *outcome)
{
	char text[256];

	ck_assert_msg(outcome->kind == NVC_OUTCOME_SUCCESS, "%s",
		nvc_auth_outcome_text(outcome, text, sizeof(text)));
}

static void expect_no_violation(const struct nvc_queue *queue)
{
	ck_assert_msg(
		nvc_queue_info(queue)->num_violations == 0, "%s", nvc_queue_info(queue)->violation);
}

START_TEST(every_hash_and_group_both_ways)
{
	const uint8_t hash = (uint8_t)(NVC_HASH_SHA256 + _i / 3), group = (uint8_t)(_i % 3);
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	const struct nvc_auth_offer offer = NVC_OFFER(hash, group);

	for (int mode = NVC_AUTH_UNIDIRECTIONAL; mode <= NVC_AUTH_BIDIRECTIONAL; mode++) {
		struct nvc_auth_outcome outcome;
		struct nvc_queue *queue;

		OK(nvc_queue_establish(&town->host, NULL, &queue, &err));
		ck_assert(nvc_queue_info(queue)->atr);
		nvc_auth_authenticate(
			queue, NVC_SC_C_NOSC, (enum nvc_auth_mode)mode, &offer, &outcome);
		expect_success(&outcome);
		ck_assert_uint_eq(outcome.hash_id, hash);
		ck_assert_uint_eq(outcome.dhgid, group);
		ck_assert_int_eq(outcome.r2,
			mode == NVC_AUTH_BIDIRECTIONAL ? NVC_R2_RIGHT : NVC_R2_NOT_ASKED);
		expect_no_violation(queue);
	}
	town_close(town);
}
END_TEST

/* The controller answers for the S2 that was sent, and so must we judge it. */
START_TEST(bent_s2_still_verifies)
{
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue;
	struct nvc_auth auth;

	OK(nvc_queue_establish(&town->host, NULL, &queue, &err));
	OK(nvc_auth_init(&auth, queue, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL));
	auth.reply_bends = NVC_BENDS({.field = "seqnum", .kind = NVC_BEND_SET, .value = 5});
	nvc_auth_run(&auth, &outcome);
	expect_success(&outcome);
	ck_assert_int_eq(outcome.r2, NVC_R2_RIGHT);
	nvc_auth_fini(&auth);
	town_close(town);
}
END_TEST

START_TEST(wrong_secret_is_failure1)
{
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue;
	enum nvc_end end;

	town->host.host_key = a_key(0x33);
	ck_assert_int_eq(
		nvc_host_admin(&town->host, NULL, NVC_AUTH_UNIDIRECTIONAL, &queue, &outcome, NULL),
		NVC_E_REFUSED);
	ck_assert_int_eq(outcome.kind, NVC_OUTCOME_FAILURE1);
	ck_assert_uint_eq(outcome.rcodeex, NVC_RCODEEX_FAILED);
	OK(nvc_queue_await_end(queue, 0, &end, &err));
	ck_assert_int_ne(end, NVC_END_OPEN);
	town_close(town);
}
END_TEST

static const struct nvc_fault_plan faults[] = {
	{0}, {.max_segment = 1}, {.merge = true}, {.delay = NVC_MS(3)}};
/* Of TLS; the first round is without. */
static const struct nvc_fault_plan record_faults[] = {{0}, {.record_len = 1},
	{.record_len = NVC_RECORDS_MIXED}, {.record_len = NVC_TLS_RECORD_MAX, .merge = true}};

START_TEST(an_admin_and_an_io_queue_at_work)
{
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	struct nvc_completion done;
	struct nvc_queue *admin, *io;
	uint8_t block[512];

	town->host.fault = faults[_i];
	town->host.ic.dgst = (uint8_t)_i;
	OK(nvc_host_admin(&town->host, NULL, NVC_AUTH_BIDIRECTIONAL, &admin, NULL, &err));
	OK(nvc_do_enable(admin, &err));
	OK(nvc_do_identify(admin, NVC_CNS_CONTROLLER, 0, &done, &err));
	ck_assert_uint_eq(done.status, 0);
	ck_assert_uint_eq(done.data.len, NVC_IDENTIFY_LEN);
	OK(nvc_do_set_num_queues(admin, 1, &done, &err));
	ck_assert_uint_eq(done.status, 0);
	OK(nvc_host_io(&town->host, admin, 1, NULL, &io, &err));
	memset(block, 0x5a, sizeof(block));
	for (int r2t = 0; r2t < 2; r2t++) {
		block[0] = (uint8_t)r2t;
		OK(nvc_do_write(io, 1, 3, NVC_SLICE(block), r2t != 0, &done, &err));
		ck_assert_uint_eq(done.status, 0);
		OK(nvc_do_read(io, 1, 3, sizeof(block), &done, &err));
		ck_assert(nvc_slice_equal(done.data, NVC_SLICE(block)));
	}
	OK(nvc_do_flush(io, 1, &done, &err));
	OK(nvc_queue_usable(io, 0, &done, &err));
	OK(nvc_queue_usable(admin, 0, &done, &err));
	OK(nvc_do_keep_alive(admin, &done, &err));
	ck_assert_uint_eq(done.status, 0);
	OK(nvc_do_reset(admin, &err));
	expect_no_violation(admin);
	expect_no_violation(io);
	town_close(town);
}
END_TEST

START_TEST(new_then_replace_three_times)
{
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	const enum nvc_auth_mode mode = _i % 2 == 0 ? NVC_AUTH_CONCAT_UNI : NVC_AUTH_BIDIRECTIONAL;
	const struct nvc_auth_offer offer = NVC_OFFER(1 + _i / 2, NVC_DH_2048);
	struct nvc_auth_outcome outcome = {0};
	struct nvc_completion done;
	struct nvc_queue *admin, *other;

	town->host.fault = record_faults[_i];
	OK(nvc_host_concat(&town->host, mode, &offer, &admin, &outcome, &err));
	expect_success(&outcome);
	ck_assert(outcome.has_psk);
	for (int round = 0; round < 3; round++) {
		const struct nvc_tls_psk before = town->host.psk;

		nvc_auth_authenticate(admin, NVC_SC_C_REPLACETLSPSK, mode, &offer, &outcome);
		expect_success(&outcome);
		ck_assert(outcome.has_psk && town->host.has_previous_psk);
		ck_assert_str_ne(town->host.psk.identity, before.identity);
		ck_assert_str_eq(town->host.previous_psk.identity, before.identity);
		ck_assert(nvc_secret_equal(nvc_secret_slice(&town->host.previous_psk.psk),
			nvc_secret_slice(&before.psk)));
		OK(nvc_host_admin_over_tls(&town->host, NULL, &other, &err));
		OK(nvc_queue_usable(other, 0, &done, &err));
		ck_assert_uint_eq(done.status, 0);
		nvc_queue_free(other);
		OK(nvc_queue_usable(admin, 0, &done, &err));
		ck_assert_uint_eq(done.status, 0);
	}
	expect_no_violation(admin);
	town_close(town);
}
END_TEST

START_TEST(commands_that_wait_and_commands_that_end)
{
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	struct nvc_completion done;
	struct nvc_queue *admin, *io;
	uint16_t event, identify;
	enum nvc_end end;

	OK(nvc_host_admin(&town->host, NULL, NVC_AUTH_UNIDIRECTIONAL, &admin, NULL, &err));
	OK(nvc_do_enable(admin, &err));
	OK(nvc_submit_async_event(admin, &event, &err));
	OK(nvc_submit_identify(admin, NVC_CNS_CONTROLLER, 0, &identify, &err));
	OK(nvc_queue_wait(admin, identify, 0, &done, &err));
	ck_assert_uint_eq(done.data.len, NVC_IDENTIFY_LEN);
	ck_assert_int_eq(nvc_queue_wait(admin, event, NVC_SEC(1), &done, NULL), NVC_E_TIMEOUT);
	OK(nvc_host_io(&town->host, admin, 1, NULL, &io, &err));
	ck_assert_uint_eq(nvc_queue_info(io)->cntlid, nvc_queue_info(admin)->cntlid);
	OK(nvc_do_disconnect(io, &done, &err));
	ck_assert_uint_eq(done.status, 0);
	OK(nvc_queue_await_end(io, 0, &end, &err));
	ck_assert_int_ne(end, NVC_END_OPEN);
	OK(nvc_do_disconnect(admin, &done, &err));
	ck_assert_uint_eq(done.status, NVC_SC_INVALID_QUEUE_TYPE);
	OK(nvc_queue_usable(admin, 0, NULL, &err));
	expect_no_violation(admin);
	expect_no_violation(io);
	town_close(town);
}
END_TEST

START_TEST(discovery_log_is_read)
{
	struct town *town = town_new(NVC_POLICY_PERMITTED);
	struct nvc_completion done;
	struct nvc_discovery_header header;
	struct nvc_queue *queue;

	town->host.subnqn = NVC_DISCOVERY_NQN;
	OK(nvc_host_admin(&town->host, NULL, NVC_AUTH_UNIDIRECTIONAL, &queue, NULL, &err));
	OK(nvc_do_enable(queue, &err));
	OK(nvc_do_get_log_page(queue, NVC_LOG_DISCOVERY, 0, NVC_DISCOVERY_HEADER_LEN, &done, &err));
	ck_assert_uint_eq(done.status, 0);
	OK(nvc_decode(&nvc_discovery_header_layout, done.data, &header, NULL, &err));
	ck_assert_uint_gt(header.numrec, 0);
	expect_no_violation(queue);
	town_close(town);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host and target");
	TCase *tc = tcase_create("host and target");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, every_hash_and_group_both_ways, 0, 9);
	tcase_add_test(tc, bent_s2_still_verifies);
	tcase_add_test(tc, wrong_secret_is_failure1);
	tcase_add_loop_test(tc, an_admin_and_an_io_queue_at_work, 0, 4);
	tcase_add_loop_test(tc, new_then_replace_three_times, 0, 4);
	tcase_add_test(tc, commands_that_wait_and_commands_that_end);
	tcase_add_test(tc, discovery_log_is_read);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
