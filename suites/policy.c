/* SPDX-License-Identifier: BSD-3-Clause */
/* What a target asks of hosts for which it has another policy than for the rest (Base 2.2, 8.3.4, figures 750 to 754). */
#include "suites/steps.h"

CASE(concat_announced, .id = "policy.concatenation-required.announced",
	.title = "Where concatenation is required Connect says so: ASCR is 1 and ATR is 0",
	.checks = {REQ_C_055, REQ_C_056}, .needs = NEED_CONCAT)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_policy(POLICY_CONCAT_REQUIRED)));

	if (!test_running(t))
		return;
	expect_true(t, REQ_C_055, nvc_queue_info(admin)->ascr, "ASCR 1", "ATR %d, ASCR %d",
		nvc_queue_info(admin)->atr, nvc_queue_info(admin)->ascr);
	expect_true(t, REQ_C_056, !nvc_queue_info(admin)->atr, "ATR 0 when ASCR is 1",
		"ATR %d, ASCR %d", nvc_queue_info(admin)->atr, nvc_queue_info(admin)->ascr);
}

CASE(concat_needed, .id = "policy.concatenation-required.plain-authentication",
	.title = "Where concatenation is required an authentication without it is a mismatch",
	.checks = {REQ_C_116}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_policy(POLICY_CONCAT_REQUIRED)));

	expect_refused(t, REQ_C_116, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(concat_done, .id = "policy.concatenation-required.concatenation",
	.title = "Where concatenation is required a host that concatenates is served over TLS",
	.checks = {REQ_C_190}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, want_policy(POLICY_CONCAT_REQUIRED));
	struct nvc_queue *admin = connect_admin(t, host);

	expect_success(
		t, REQ_C_190, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI));
	leave(t, admin);
	admin = connect_admin_tls(t, host, &host->psk);
	expect_status(t, REQ_C_190, admin, CMD_PROPERTY_SET, CODES(NVC_SC_SUCCESS));
}

CASE(no_concat, .id = "policy.no-concatenation",
	.title = "NEWTLSPSK of a host that must not concatenate is a mismatch",
	.checks = {REQ_C_111}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_policy(POLICY_NO_CONCAT)));

	expect_refused(t, REQ_C_111, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(optional, .id = "policy.authentication-optional",
	.title = "A host that need not authenticate is not asked to, is served, and may do it",
	.checks = {REQ_C_057, REQ_C_075, REQ_C_130}, .needs = NEED_AUTH,
	.teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_policy(POLICY_AUTH_OPTIONAL)));

	if (!test_running(t))
		return;
	expect_true(t, REQ_C_057, !nvc_queue_info(admin)->atr && !nvc_queue_info(admin)->ascr,
		"ATR 0, ASCR 0", "ATR %d, ASCR %d", nvc_queue_info(admin)->atr,
		nvc_queue_info(admin)->ascr);
	expect_status(t, REQ_C_075, admin, CMD_PROPERTY_GET, CODES(NVC_SC_SUCCESS));
	expect_success(t, REQ_C_130, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_status(t, REQ_C_130, admin, CMD_PROPERTY_SET, CODES(NVC_SC_SUCCESS));
}
