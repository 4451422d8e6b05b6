/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages out of order, AUTH_Failure1 and AUTH_Failure2 from every state, and what follows them (docs/protocol.md 4.2 to 4.4). */
#include "suites/steps.h"

/* How far a transaction has come when the stimulus is sent. */
enum reached {
	BEFORE_NEGOTIATE,
	AFTER_NEGOTIATE,
	AFTER_CHALLENGE,
	AFTER_REPLY,
	AFTER_SUCCESS1,
	AFTER_END,
	AFTER_REFUSAL /* of the Reply; AUTH_Failure1 is not read yet */
};

static struct nvc_auth *transaction_at(struct test *t, struct nvc_host *host, enum reached reached)
{
	enum nvc_auth_mode mode =
		reached == AFTER_SUCCESS1 ? NVC_AUTH_BIDIRECTIONAL : NVC_AUTH_UNIDIRECTIONAL;
	struct nvc_auth *auth = transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, mode);

	if (reached == AFTER_REFUSAL)
		auth->r1 = NVC_R1_FLIPPED;
	if (reached >= AFTER_NEGOTIATE)
		send_negotiate(t, auth);
	if (reached >= AFTER_CHALLENGE)
		receive_challenge(t, auth);
	if (reached >= AFTER_REPLY)
		send_reply(t, auth);
	if (reached == AFTER_SUCCESS1 || reached == AFTER_END)
		receive_success1(t, auth);
	return auth;
}

static const struct case_param failure2_states[] = {
	{"after-challenge", {AFTER_CHALLENGE}}, {"after-success1", {AFTER_SUCCESS1}}, {NULL, {0}}};

CASE(failure2, .id = "failure2.closes",
	.title = "AUTH_Failure2 is taken without complaint, and the controller then closes",
	.checks = {REQ_C_155, REQ_C_156}, .needs = NEED_BIDI, .teardown = TEARDOWN_CLOSED,
	.params = failure2_states)
{
	enum req_id req = param[0] == AFTER_CHALLENGE ? REQ_C_155 : REQ_C_156;
	struct nvc_auth *auth =
		transaction_at(t, host_as(t, ORDINARY_BIDI), (enum reached)param[0]);

	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	expect_auth_status(t, req, auth, CODES(NVC_SC_SUCCESS));
	expect_closed(t, req, auth->queue);
}

CASE(failure2_on_reauth, .id = "failure2.during-reauthentication",
	.title = "AUTH_Failure2 in a re-authentication ends the association that was in use",
	.checks = {REQ_C_173, REQ_C_155}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	expect_closed(t, REQ_C_173, admin);
	expect_closed(t, REQ_C_155, admin);
}

CASE(failure2_io, .id = "failure2.ends-io-queues",
	.title = "AUTH_Failure2 on the admin queue ends the I/O queues of the association too",
	.checks = {REQ_C_173}, .needs = NEED_AUTH | NEED_IO, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	expect_closed(t, REQ_C_173, io);
}

CASE(failure2_then_new, .id = "failure2.next-association",
	.title = "After AUTH_Failure2 a new association is served", .checks = {REQ_C_185},
	.needs = NEED_AUTH)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth = transaction_at(t, host, AFTER_CHALLENGE);

	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	expect_new_association(t, REQ_C_185, host);
}

static const struct case_param undue_states[] = {{"first", {BEFORE_NEGOTIATE}},
	{"before-challenge", {AFTER_NEGOTIATE}}, {"before-success1", {AFTER_REPLY}},
	{"after-refusal", {AFTER_REFUSAL}}, {"afterwards", {AFTER_END}}, {NULL, {0}}};

CASE(failure2_undue, .id = "failure2.undue",
	.title = "Whether AUTH_Failure2 where no message of a transaction is due ends the "
		 "connection is on record",
	.checks = {REQ_N_029}, .needs = NEED_AUTH, .params = undue_states)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), (enum reached)param[0]);
	struct nvc_auth_received received = {0};
	char text[256];

	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	if (!test_running(t))
		return;
	if (nvc_auth_receive(auth, &received, NULL) == NVC_OK)
		expect_true(t, REQ_N_029, received.message == NVC_MSG_FAILURE1,
			"AUTH_Failure1, or the end of the connection at once", "%s",
			nvc_auth_received_text(&received, text, sizeof(text)));
	expect_closed(t, REQ_N_029, auth->queue);
}

/* ---- illegal sends ---- */

/* The states and messages of order.def, as far as its cases use them. */
enum order_state {
	STATE_IDLE = BEFORE_NEGOTIATE,
	STATE_CHAL_READY = AFTER_NEGOTIATE,
	STATE_WAIT_REPLY = AFTER_CHALLENGE,
	STATE_SUCC1_READY = AFTER_REPLY,
	STATE_WAIT_SUCC2 = AFTER_SUCCESS1,
	STATE_FAIL = AFTER_REFUSAL,
	STATE_DONE = AFTER_END,
};

enum order_message {
	MESSAGE_NEGOTIATE = NVC_MSG_NEGOTIATE,
	MESSAGE_REPLY = NVC_MSG_REPLY,
	MESSAGE_SUCCESS2 = NVC_MSG_SUCCESS2,
	MESSAGE_FOREIGN = NVC_MSG_CHALLENGE,
};

/* {state, message, requirement} */
static const struct case_param illegal_sends[] = {
#define ORDER(state, message, name, req) {name, {STATE_##state, MESSAGE_##message, REQ_##req}},
#define ELSEWHERE(state, message, where)
#define LEGAL(state, message, where)
#include "suites/order.def"
#undef ORDER
#undef ELSEWHERE
#undef LEGAL
	{NULL, {0}},
};

static void send_out_of_order(struct test *t, struct nvc_auth *auth, int message)
{
	uint8_t reply[16 + 2 * 32 + 256] = {
		1, 2, (uint8_t)0, 0, (uint8_t)auth->t_id, (uint8_t)(auth->t_id >> 8), 32};

	switch (message) {
	case NVC_MSG_NEGOTIATE:
		send_negotiate(t, auth);
		break;
	case NVC_MSG_REPLY:
		reply[11] = 1; /* DHVLEN 256 */
		send_message(t, auth, NVC_SLICE(reply));
		break;
	case NVC_MSG_CHALLENGE:
		reply[1] = NVC_MSG_CHALLENGE & 0xff;
		send_message(t, auth, nvc_slice_of(reply, 48));
		break;
	default:
		send_success2(t, auth);
	}
}

CASE(order, .id = "failure1.out-of-order",
	.title = "A message that is not due is refused as an incorrect protocol message",
	.checks = {REQ_C_159, REQ_C_088, REQ_C_160, REQ_C_161, REQ_C_162}, .needs = NEED_BIDI,
	.teardown = TEARDOWN_CLOSED, .params = illegal_sends)
{
	struct nvc_auth *auth =
		transaction_at(t, host_as(t, ORDINARY_BIDI), (enum reached)param[0]);

	send_out_of_order(t, auth, param[1]);
	expect_failure1(t, (enum req_id)param[2], auth,
		param[0] == STATE_FAIL ? CODES(NVC_RCODEEX_FAILED, NVC_RCODEEX_MESSAGE)
				       : CODES(NVC_RCODEEX_MESSAGE));
}

CASE(reply_early, .id = "failure1.reply-before-challenge",
	.title = "A Reply sent before the Challenge was read is an incorrect protocol message",
	.checks = {REQ_C_160}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), AFTER_NEGOTIATE);

	send_out_of_order(t, auth, NVC_MSG_REPLY);
	expect_failure1(t, REQ_C_160, auth, CODES(NVC_RCODEEX_MESSAGE));
}

CASE(reply_twice, .id = "failure1.reply-twice",
	.title = "A second Reply in place of reading Success1 is an incorrect protocol message",
	.checks = {REQ_C_161}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), AFTER_REPLY);

	send_reply(t, auth);
	expect_failure1(t, REQ_C_161, auth, CODES(NVC_RCODEEX_MESSAGE));
}

CASE(receive_first, .id = "failure1.receive-first",
	.title = "Authentication Receive before any AUTH_Negotiate brings AUTH_Failure1",
	.checks = {REQ_C_083}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), BEFORE_NEGOTIATE);

	expect_failure1(t, REQ_C_083, auth, CODES(NVC_RCODEEX_MESSAGE));
}

CASE(challenge_twice, .id = "failure1.challenge-read-twice",
	.title = "Reading the Challenge a second time brings AUTH_Failure1", .checks = {REQ_C_129},
	.needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), AFTER_CHALLENGE);

	expect_failure1(t, REQ_C_129, auth, CODES(NVC_RCODEEX_MESSAGE));
}

static const struct case_param foreign_messages[] = {{"challenge", {NVC_MSG_CHALLENGE}},
	{"success1", {NVC_MSG_SUCCESS1}}, {"failure1", {NVC_MSG_FAILURE1}}, {NULL, {0}}};

CASE(foreign_message, .id = "failure1.controller-message",
	.title = "A message only controllers send is an incorrect protocol message when a host "
		 "sends it",
	.checks = {REQ_C_162}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = foreign_messages)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), AFTER_CHALLENGE);
	uint8_t message[48] = {(uint8_t)(param[0] >> 8), (uint8_t)param[0], 0, 0,
		(uint8_t)auth->t_id, (uint8_t)(auth->t_id >> 8), 32};

	if (param[0] == NVC_MSG_FAILURE1)
		send_message(t, auth,
			nvc_slice_of((uint8_t[]){0, 0xf1, 0, 0, message[4], message[5], 1, 1}, 8));
	else
		send_message(t, auth, NVC_SLICE(message));
	expect_failure1(t, REQ_C_162, auth, CODES(NVC_RCODEEX_MESSAGE));
}

static const struct case_param unknown_types[] = {{"02h", {0x02}}, {"ffh", {0xff}}, {NULL, {0}}};

CASE(unknown_type, .id = "failure1.unknown-auth-type",
	.title = "An AUTH_TYPE nobody defined is an incorrect protocol message",
	.checks = {REQ_C_107}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = unknown_types)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), BEFORE_NEGOTIATE);

	auth->negotiate_bends = NVC_BENDS(
		{.field = "auth_type", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]});
	send_negotiate(t, auth);
	auth->negotiate_bends = NULL;
	expect_failure1(t, REQ_C_107, auth, CODES(NVC_RCODEEX_MESSAGE));
}

CASE(send_status, .id = "failure1.told-by-receive",
	.title = "Authentication Send succeeds although the message in it is refused",
	.checks = {REQ_C_084}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = transaction_at(t, host_as(t, ORDINARY), AFTER_CHALLENGE);

	auth->r1 = NVC_R1_FLIPPED;
	send_reply(t, auth);
	expect_auth_status(t, REQ_C_084, auth, CODES(NVC_SC_SUCCESS));
	expect_failure1(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(closes_alone, .id = "failure1.closes-by-itself",
	.title = "After AUTH_Failure1 the controller closes without any action of the host",
	.checks = {REQ_C_172, REQ_C_170}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_170, auth, CODES(NVC_RCODEEX_FAILED));
	expect_closed(t, REQ_C_172, auth->queue);
}

CASE(shut, .id = "failure1.denies-commands",
	.title = "Once a re-authentication has failed no command is served, read or not",
	.checks = {REQ_C_174}, .needs = NEED_AUTH, .teardown = TEARDOWN_ANY)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	enum nvc_result result;

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	auth->r1 = NVC_R1_FLIPPED;
	send_reply(t, auth);
	if (!test_running(t))
		return;
	test_step(t, "Identify before AUTH_Failure1 is read");
	result = nvc_do_identify(admin, NVC_CNS_CONTROLLER, 0, &done, &err);
	expect_denied(t, REQ_C_174, admin, "Identify", result, done.status, &err);
}

static const struct case_param states[] = {{"before-negotiate", {BEFORE_NEGOTIATE}},
	{"after-negotiate", {AFTER_NEGOTIATE}}, {"after-challenge", {AFTER_CHALLENGE}},
	{"after-reply", {AFTER_REPLY}}, {"after-success1", {AFTER_SUCCESS1}}, {NULL, {0}}};

CASE(disconnect, .id = "failure.host-leaves",
	.title = "A host that closes in the middle of a transaction can come back",
	.checks = {REQ_C_186}, .needs = NEED_BIDI, .params = states)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);

	for (int round = 0; round < 2; round++) {
		struct nvc_auth *auth = transaction_at(t, host, (enum reached)param[0]);
		if (test_running(t))
			nvc_queue_close(auth->queue, round ? NVC_END_RST : NVC_END_FIN);
		expect_new_association(t, REQ_C_186, host);
	}
}

CASE(admin_lost, .id = "failure.admin-connection-lost",
	.title = "Whether the I/O queues end with the lost connection of their admin queue is on "
		 "record",
	.checks = {REQ_N_007}, .needs = NEED_AUTH | NEED_IO, .slow = true)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);

	if (test_running(t))
		nvc_queue_close(admin, NVC_END_RST);
	expect_closed(t, REQ_N_007, io);
}

CASE(reset, .id = "failure.controller-reset",
	.title =
		"A controller reset in the middle of a re-authentication leaves the target serving",
	.checks = {REQ_C_185, REQ_C_070}, .needs = NEED_AUTH | NEED_IO, .teardown = TEARDOWN_ANY)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_ready(t, host);
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_received received = {0};
	struct nvc_completion done = {0};
	enum nvc_end end = NVC_END_OPEN;
	enum nvc_result result;
	char text[256];

	send_negotiate(t, auth);
	if (!test_running(t))
		return;
	result = nvc_do_reset(admin, NULL);
	nvc_queue_await_end(io, NVC_MS(300), &end, NULL);
	test_observed(t, REQ_C_070, "after CC.EN 0 the I/O queue is %s", nvc_end_name(end));
	if (result == NVC_OK)
		result = nvc_do_enable(admin, NULL);
	if (result == NVC_OK)
		result = nvc_do_identify(admin, NVC_CNS_CONTROLLER, 0, &done, NULL);
	test_observed(t, REQ_C_070, "after CC.EN 1 Identify gives %s, status %03Xh",
		nvc_result_name(result), done.status);
	if (result == NVC_OK && nvc_auth_receive(auth, &received, NULL) == NVC_OK)
		test_observed(t, REQ_C_070,
			"the transaction begun before the reset goes on with %s",
			nvc_auth_received_text(&received, text, sizeof(text)));
	expect_new_association(t, REQ_C_185, host);
}

CASE(disconnect_io, .id = "failure.disconnect-on-io-queue",
	.title = "Disconnect in the middle of an I/O queue's authentication ends that queue alone",
	.checks = {REQ_C_065}, .needs = NEED_AUTH | NEED_IO, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);
	struct nvc_completion identify = {0}, done = {0};
	struct nvc_identify_controller controller = {0};
	struct nvc_error err = {0};

	if (test_running(t) &&
		nvc_do_identify(admin, NVC_CNS_CONTROLLER, 0, &identify, &err) == NVC_OK &&
		nvc_decode(&nvc_identify_controller_layout, identify.data, &controller, NULL,
			&err) == NVC_OK &&
		!(controller.ofcs & 1))
		test_skip(t, "Identify Controller says that Disconnect is not supported (OFCS bit "
			     "0 is 0)");
	if (test_running(t) && nvc_queue_info(io)->atr)
		authenticate(t, transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	send_negotiate(t, transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	if (test_running(t)) {
		enum nvc_result result = nvc_do_disconnect(io, &done, &err);
		expect_true(t, REQ_C_065, result == NVC_OK && done.status == NVC_SC_SUCCESS,
			"Disconnect succeeds", "%s, status %03Xh", nvc_result_name(result),
			done.status);
	}
	expect_closed(t, REQ_C_065, io);
	expect_served(t, REQ_C_065, admin);
}

/* Puts on record what an Authentication Receive does to a queue that has no transaction. */
static void observe_receive(struct test *t, enum req_id req, struct nvc_queue *admin)
{
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_received received = {0};
	struct nvc_completion done = {0};
	char text[256];
	bool served;

	if (!test_running(t))
		return;
	nvc_auth_receive(auth, &received, NULL);
	served = nvc_queue_usable(admin, 0, &done, NULL) == NVC_OK && done.status == NVC_SC_SUCCESS;
	test_observed(t, req, "%s, and the queue is %s",
		nvc_auth_received_text(&received, text, sizeof(text)),
		served ? "served" : "not served any more");
}

CASE(receive_afterwards, .id = "failure1.receive-afterwards",
	.title = "What an Authentication Receive on an authenticated queue does is on record",
	.checks = {REQ_N_024}, .needs = NEED_AUTH)
{
	observe_receive(t, REQ_N_024, admin_ready(t, host_as(t, ORDINARY)));
}

CASE(receive_unneeded, .id = "failure1.receive-where-none-is-needed",
	.title = "What an Authentication Receive does where no authentication is needed is on "
		 "record",
	.checks = {REQ_N_025}, .needs = NEED_OPEN_HOST)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_open()));

	enable(t, admin);
	observe_receive(t, REQ_N_025, admin);
}
