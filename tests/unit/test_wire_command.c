/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands and their data: the capsules of the vectors, offsets by hand, names; and the line said about each PDU. */
#include "tests/unit/vectors.h"
#include "wire/auth.h"
#include "wire/command.h"

static json_t *root, *capsules;

static void load(void)
{
	root = load_vectors();
	capsules = json_object_get(root, "capsules");
}

static void unload(void)
{
	json_decref(root);
}

static void decode(const struct nvc_layout *layout, struct nvc_slice in, void *out)
{
	struct nvc_error err = {0};
	size_t num_read;

	ck_assert_msg(nvc_decode(layout, in, out, &num_read, &err) == NVC_OK, "%s", err.text);
	ck_assert_uint_eq(num_read, in.len);
	ck_assert(nvc_reserved_is_zero(layout, in, NULL));
}

static void expect_encoded(
	const struct nvc_layout *layout, const void *message, struct nvc_slice want)
{
	uint8_t out[4096];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));

	ck_assert_int_eq(nvc_encode(layout, message, NULL, &writer), NVC_OK);
	expect_bytes(layout->name, want, nvc_writer_slice(&writer));
}

START_TEST(connect_vector)
{
	struct hexed sqe = hex_of(capsules, "connect_sqe_incapsule"),
		     data = hex_of(capsules, "connect_data");
	const char *hostnqn =
		text_of(json_array_get(json_object_get(root, "dhchap"), 0), "hostnqn");
	const char *subnqn = text_of(json_array_get(json_object_get(root, "dhchap"), 0), "subnqn");
	struct nvc_connect_data body, again = {.cntlid = NVC_CNTLID_DYNAMIC};
	struct nvc_cmd_connect cmd;
	char nqn[NVC_NQN_MAX_LEN + 1];

	ck_assert_ptr_eq(nvc_cmd_layout(HEXED(sqe)), &nvc_cmd_connect_layout);
	ck_assert_str_eq(nvc_cmd_name(HEXED(sqe), false), "Connect");
	decode(&nvc_cmd_connect_layout, HEXED(sqe), &cmd);
	ck_assert_uint_eq(cmd.head.opc, NVC_OPC_FABRICS);
	ck_assert_uint_eq(cmd.head.flags, NVC_PSDT_SGL_01B);
	ck_assert_uint_eq(cmd.head.cid, 0);
	ck_assert_uint_eq(cmd.head.sgl_len, NVC_CONNECT_DATA_LEN);
	ck_assert_uint_eq(cmd.head.sgl_id, NVC_SGL_IN_CAPSULE);
	ck_assert_uint_eq(cmd.fctype, NVC_FCTYPE_CONNECT);
	ck_assert_uint_eq(cmd.sqsize, 31);
	ck_assert_uint_eq(cmd.kato, 120000);
	expect_encoded(&nvc_cmd_connect_layout, &cmd, HEXED(sqe));

	decode(&nvc_connect_data_layout, HEXED(data), &body);
	ck_assert_uint_eq(body.cntlid, NVC_CNTLID_DYNAMIC);
	ck_assert(nvc_nqn_get(body.hostnqn, nqn));
	ck_assert_str_eq(nqn, hostnqn);
	ck_assert(nvc_nqn_get(body.subnqn, nqn));
	ck_assert_str_eq(nqn, subnqn);
	for (uint8_t i = 0; i < NVC_HOSTID_LEN; i++)
		again.hostid[i] = i;
	nvc_nqn_put(again.hostnqn, hostnqn);
	nvc_nqn_put(again.subnqn, subnqn);
	expect_encoded(&nvc_connect_data_layout, &again, HEXED(data));
}
END_TEST

static void expect_auth(
	const char *name, const struct nvc_layout *layout, const struct nvc_cmd_auth *want)
{
	struct hexed sqe = hex_of(capsules, name);
	struct nvc_cmd_auth cmd;

	ck_assert_ptr_eq(nvc_cmd_layout(HEXED(sqe)), layout);
	decode(layout, HEXED(sqe), &cmd);
	ck_assert_uint_eq(cmd.head.cid, want->head.cid);
	ck_assert_uint_eq(cmd.head.sgl_len, want->length);
	ck_assert_uint_eq(cmd.head.sgl_id, want->head.sgl_id);
	ck_assert_uint_eq(cmd.spsp0, 1);
	ck_assert_uint_eq(cmd.spsp1, 1);
	ck_assert_uint_eq(cmd.secp, 0xe9);
	ck_assert_uint_eq(cmd.length, want->length);
	expect_encoded(layout, want, HEXED(sqe));
}

START_TEST(auth_vectors)
{
	struct nvc_cmd_auth cmd = {
		.head = {.opc = 0x7f, .flags = 0x40, .cid = 1, .sgl_len = 72, .sgl_id = 0x01},
		.fctype = 5,
		.spsp0 = 1,
		.spsp1 = 1,
		.secp = 0xe9,
		.length = 72};
	struct nvc_cmd_auth made = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_SEND, 72);
	const uint8_t opc = made.head.opc;

	expect_auth("auth_send_sqe_incapsule_72", &nvc_cmd_auth_send_layout, &cmd);
	made.head = cmd.head;
	made.head.opc = opc;
	expect_auth("auth_send_sqe_incapsule_72", &nvc_cmd_auth_send_layout, &made);
	cmd.head.sgl_id = NVC_SGL_TRANSPORT;
	expect_auth("auth_send_sqe_transport_sgl_72", &nvc_cmd_auth_send_layout, &cmd);
	cmd.head.cid = 2;
	cmd.fctype = NVC_FCTYPE_AUTH_RECEIVE;
	cmd.head.sgl_len = cmd.length = 4096;
	expect_auth("auth_receive_sqe_4096", &nvc_cmd_auth_receive_layout, &cmd);
}
END_TEST

/* Offsets by hand from chapter 2 for what the vectors do not hold. */
START_TEST(other_commands)
{
	struct nvc_cmd_property set = {.head = {.opc = 0x7f, .flags = 0x40, .cid = 3},
		.fctype = 0,
		.attrib = 0,
		.ofst = 0x14,
		.value = 0x00460001};
	struct nvc_cmd_property get = {.head = {.opc = 0x7f, .flags = 0x40, .cid = 4},
		.fctype = 4,
		.attrib = 1,
		.value = 99};
	struct nvc_cmd_disconnect disconnect = {
		.head = {.opc = 0x7f, .cid = 5}, .fctype = 8, .recfmt = 0x0102};
	struct nvc_cmd_nvme identify = {.head = {.opc = 6,
						.flags = 0x40,
						.cid = 6,
						.sgl_addr = 0x0807060504030201,
						.sgl_len = 4096,
						.sgl_id = 0x5a},
		.nsid = 0x11121314,
		.cdw10 = 1,
		.cdw11 = 2,
		.cdw12 = 3,
		.cdw13 = 4,
		.cdw14 = 5,
		.cdw15 = 6};
	struct nvc_cqe cqe = {0x0000000000020001, 0x0203, 0, 0x0405, 0x8322};
	struct nvc_cmd_connect connect = {.head = {.opc = 0x7f, .cid = 7},
		.fctype = 1,
		.recfmt = 0x0102,
		.qid = 0x0304,
		.sqsize = 0x0506,
		.cattr = 7,
		.kato = 0x0b0a0908,
		.nvmsetid = 0x0d0c};
	struct hexed want = {.len = 64};

	memcpy(want.data, "\x7f\x00\x07\x00\x01", 5);
	memcpy(want.data + 40, "\x02\x01\x04\x03\x06\x05\x07\x00\x08\x09\x0a\x0b\x0c\x0d", 14);
	expect_encoded(&nvc_cmd_connect_layout, &connect, HEXED(want));
	want = (struct hexed){.len = 64};
	memcpy(want.data, "\x7f\x40\x03\x00\x00", 5);
	memcpy(want.data + 44, "\x14\0\0\0\x01\0\x46\0", 8);
	expect_encoded(&nvc_cmd_property_set_layout, &set, HEXED(want));
	want = (struct hexed){.len = 64};
	memcpy(want.data, "\x7f\x40\x04\x00\x04", 5);
	want.data[40] = 1;
	expect_encoded(&nvc_cmd_property_get_layout, &get, HEXED(want));
	want = (struct hexed){.len = 64};
	memcpy(want.data, "\x7f\x00\x05\x00\x08", 5);
	memcpy(want.data + 40, "\x02\x01", 2);
	expect_encoded(&nvc_cmd_disconnect_layout, &disconnect, HEXED(want));
	want = unhex("0640060014131211"
		     "00000000000000000000000000000000"
		     "0102030405060708001000000000005a"
		     "010000000200000003000000040000000500000006000000");
	expect_encoded(&nvc_cmd_nvme_layout, &identify, HEXED(want));
	want = unhex("01000200000000000302000005042283");
	expect_encoded(&nvc_cqe_layout, &cqe, HEXED(want));
}
END_TEST

START_TEST(identify_and_discovery)
{
	struct nvc_identify_controller ctrl = {.mdts = 5,
		.cntlid = 0x0102,
		.ver = 0x00020000,
		.cntrltype = 1,
		.kas = 10,
		.sqes = 0x66,
		.cqes = 0x44,
		.maxcmd = 128,
		.nn = 1,
		.sgls = 0x00200001,
		.ioccsz = 4,
		.iorcsz = 1,
		.icdoff = 0x0506,
		.fcatt = 7,
		.msdbd = 8,
		.ofcs = 0x0a09};
	struct nvc_identify_namespace ns = {
		.nsze = 2048, .ncap = 2048, .nuse = 1, .lbaf0 = 9 << 16};
	struct nvc_discovery_entry entry = {.trtype = 3,
		.adrfam = 1,
		.subtype = 2,
		.treq = 1,
		.portid = 1,
		.cntlid = 0xffff,
		.asqsz = 32,
		.sectype = 2};
	static struct hexed want = {.len = 4096};

	memset(want.data, 0, sizeof(want.data));
	want.data[77] = 5;
	memcpy(want.data + 78, "\x02\x01\0\0\x02", 5);
	want.data[111] = 1;
	want.data[320] = 10;
	memcpy(want.data + 512, "\x66\x44\x80\x00\x01", 5);
	memcpy(want.data + 536, "\x01\x00\x20", 3);
	want.data[1792] = 4;
	memcpy(want.data + 1796, "\x01\0\0\0\x06\x05\x07\x08\x09\x0a", 10);
	expect_encoded(&nvc_identify_controller_layout, &ctrl, HEXED(want));
	memset(want.data, 0, sizeof(want.data));
	memcpy(want.data, "\0\x08\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\x01", 17);
	want.data[130] = 9;
	expect_encoded(&nvc_identify_namespace_layout, &ns, HEXED(want));
	memset(want.data, 0, sizeof(want.data));
	memcpy(want.data, "\x03\x01\x02\x01\x01\0\xff\xff\x20", 9);
	want.data[768] = 2;
	want.len = 1024;
	expect_encoded(&nvc_discovery_entry_layout, &entry, HEXED(want));
	want.len = 4096;
}
END_TEST

START_TEST(statuses)
{
	ck_assert_uint_eq(nvc_status_field(NVC_SC_AUTH_REQUIRED, false), 0x0322);
	ck_assert_uint_eq(nvc_status_field(NVC_SC_AUTH_REQUIRED, true), 0x8322);
	ck_assert_uint_eq(nvc_cqe_status(0x8322), 0x191);
	ck_assert_uint_eq(nvc_cqe_status(0xffff), 0x7ff);
	ck_assert_uint_eq(nvc_cqe_status(0xf001), 0); /* phase, CRD, More and DNR are no status */
	for (size_t i = 0; nvc_status_names[i].text; i++)
		ck_assert_uint_eq(
			nvc_cqe_status(nvc_status_field((uint16_t)nvc_status_names[i].value, true)),
			nvc_status_names[i].value);
	ck_assert_str_eq(nvc_status_name(0x191), "Authentication Required");
	ck_assert_str_eq(nvc_status_name(0x7ff), "status");
}
END_TEST

static const char *name_of(uint8_t opc, uint8_t fctype, bool io_queue)
{
	uint8_t sqe[NVC_SQE_LEN] = {opc, 0, 0, 0, fctype};

	return nvc_cmd_name(NVC_SLICE(sqe), io_queue);
}

START_TEST(names)
{
	ck_assert_str_eq(name_of(0x7f, 5, false), "Authentication Send");
	ck_assert_str_eq(name_of(0x7f, 6, true), "Authentication Receive");
	ck_assert_str_eq(name_of(0x7f, 0, false), "Property Set");
	ck_assert_str_eq(name_of(0x7f, 4, false), "Property Get");
	ck_assert_str_eq(name_of(0x7f, 8, true), "Disconnect");
	ck_assert_str_eq(name_of(0x7f, 2, true), "Fabrics command");
	ck_assert_str_eq(name_of(0x02, 0, false), "Get Log Page");
	ck_assert_str_eq(name_of(0x02, 0, true), "Read");
	ck_assert_str_eq(name_of(0x18, 0, false), "Keep Alive");
	ck_assert_str_eq(name_of(0x18, 0, true), "NVMe command");
	ck_assert_str_eq(nvc_cmd_name(nvc_slice_of(NULL, 0), false), "NVMe command");
}
END_TEST

START_TEST(nqns)
{
	uint8_t field[NVC_NQN_FIELD_LEN];
	char out[NVC_NQN_MAX_LEN + 1], long_name[301];

	memset(long_name, 'n', 300);
	long_name[300] = '\0';
	nvc_nqn_put(field, "");
	ck_assert(!nvc_nqn_get(field, out));
	nvc_nqn_put(field, long_name);
	ck_assert_uint_eq(field[255], 'n');
	ck_assert(!nvc_nqn_get(field, out)); /* not terminated */
	ck_assert_str_eq(out, "");
	nvc_nqn_put(field, long_name + 300 - 224);
	ck_assert(!nvc_nqn_get(field, out));
	nvc_nqn_put(field, long_name + 300 - 223);
	ck_assert(nvc_nqn_get(field, out));
	ck_assert_uint_eq(strlen(out), 223);
}
END_TEST

static void expect_text(const struct nvc_pdu *pdu, const char *want)
{
	char text[512];

	ck_assert_str_eq(nvc_pdu_describe(pdu, text, sizeof(text)), want);
}

static struct nvc_pdu capsule(const char *sqe_name, struct nvc_slice data)
{
	struct hexed sqe = hex_of(capsules, sqe_name);
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD, .data = data};

	memcpy(pdu.sqe, sqe.data, sizeof(pdu.sqe));
	return pdu;
}

START_TEST(describe_commands)
{
	struct hexed data = hex_of(capsules, "connect_data");
	struct hexed negotiate = hex_of(
		json_object_get(json_array_get(json_object_get(root, "dhchap"), 0), "messages"),
		"AUTH_Negotiate");
	struct nvc_pdu pdu = capsule("connect_sqe_incapsule", HEXED(data));

	expect_text(&pdu,
		"CapsuleCmd cid=0 Connect qid=0 sqsize=31 cattr=0 kato=120000 cntlid=ffffh "
		"hostnqn=nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6 "
		"subnqn=nqn.2014-08.org.nvmexpress:uuid:36ebf5a9-1df9-47b3-a6d0-e9ba32e428a2");
	data.data[512] = 27; /* an escape character must not reach a terminal */
	data.data[256] = 0;
	pdu = capsule("connect_sqe_incapsule", HEXED(data));
	expect_text(&pdu,
		"CapsuleCmd cid=0 Connect qid=0 sqsize=31 cattr=0 kato=120000 cntlid=ffffh "
		"hostnqn=?qn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6 "
		"subnqn=(invalid)");
	pdu = capsule("auth_send_sqe_incapsule_72", HEXED(negotiate));
	expect_text(&pdu, "CapsuleCmd cid=1 Authentication Send tl=72 AUTH_Negotiate t_id=4660 "
			  "sc_c=0 NOSC napd=1 "
			  "[authid=1 hash=1,2,3 dh=0,1,2,3,4,5]");
	pdu.sqe[43] = 0xea;
	pdu.data.len = 0;
	expect_text(&pdu, "CapsuleCmd cid=1 Authentication Send secp=eah spsp0=1 spsp1=1 tl=72");
	pdu = capsule("auth_receive_sqe_4096", nvc_slice_of(NULL, 0));
	expect_text(&pdu, "CapsuleCmd cid=2 Authentication Receive al=4096");
	pdu = (struct nvc_pdu){.ch.type = NVC_PDU_CAPSULE_CMD,
		.sqe = {0x7f, 0x40, 3, 0, 0, [44] = 0x14, [48] = 1, 0, 0x46}};
	expect_text(&pdu, "CapsuleCmd cid=3 Property Set ofst=14h attrib=0 value=460001h");
	pdu.sqe[4] = 4;
	expect_text(&pdu, "CapsuleCmd cid=3 Property Get ofst=14h attrib=0");
	pdu.sqe[4] = 0xc0;
	expect_text(&pdu, "CapsuleCmd cid=3 Fabrics command fctype=c0h");
	pdu = (struct nvc_pdu){.ch.type = NVC_PDU_CAPSULE_CMD, .sqe = {6, 0x40, 9, 0, 1, [40] = 2}};
	expect_text(&pdu, "CapsuleCmd cid=9 Identify opc=06h nsid=1 cdw10=2h cdw11=0h");
	pdu.sqe[0] = 2;
	expect_text(&pdu, "CapsuleCmd cid=9 Read or Get Log Page opc=02h nsid=1 cdw10=2h cdw11=0h");
}
END_TEST

START_TEST(describe_the_rest)
{
	static const uint8_t challenge[] = {1, 1, 0, 0, 7, 0, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0xcc};
	static const uint8_t zeros[16] = {0};
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_RESP,
		.cqe = {1, 0, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0x22, 0x83}};

	expect_text(&pdu,
		"CapsuleResp cid=7 status=191h Authentication Required DNR result=20001h sqhd=5");
	pdu.hdgst_wrong = true;
	pdu.cqe[14] = pdu.cqe[15] = 0;
	expect_text(&pdu, "CapsuleResp cid=7 status=000h Success result=20001h sqhd=5 HDGST wrong");
	pdu = (struct nvc_pdu){.ch = {.type = NVC_PDU_C2H_DATA, .flags = 0x0c},
		.xfer = {2, 9, 0, 17},
		.data = NVC_SLICE(challenge)};
	expect_text(&pdu, "C2HData cccid=2 datao=0 datal=17 LAST SUCCESS DH-HMAC-CHAP_Challenge "
			  "t_id=7 hl=1 hash_id=1 SHA-256 "
			  "dhgid=0 NULL dhvlen=0 seqnum=2 cval=cc dhval=-");
	pdu.xfer.offset = 4;
	pdu.ddgst_wrong = true;
	expect_text(&pdu, "C2HData cccid=2 datao=4 datal=17 LAST SUCCESS data DDGST wrong");
	pdu = (struct nvc_pdu){
		.ch.type = NVC_PDU_H2C_DATA, .xfer = {2, 9, 0, 16}, .data = NVC_SLICE(zeros)};
	expect_text(&pdu, "H2CData cccid=2 ttag=9 datao=0 datal=16 data");
	pdu.data = nvc_slice_of(challenge, sizeof(challenge)); /* a Challenge never goes that way */
	expect_text(&pdu, "H2CData cccid=2 ttag=9 datao=0 datal=16 data");
	pdu = (struct nvc_pdu){.ch.type = NVC_PDU_R2T, .xfer = {7, 3, 0, 4096}};
	expect_text(&pdu, "R2T cccid=7 ttag=3 r2to=0 r2tl=4096");
	pdu = (struct nvc_pdu){
		.ch.type = NVC_PDU_C2H_TERM_REQ, .term = {1, 4}, .data = {zeros, 16}};
	expect_text(&pdu, "C2HTermReq fes=01h invalid PDU header field fei=4 quoting 16 bytes");
	pdu = (struct nvc_pdu){.ch.type = NVC_PDU_H2C_TERM_REQ, .term = {9, 0}};
	expect_text(&pdu, "H2CTermReq fes=09h (reserved) fei=0");
	pdu = (struct nvc_pdu){.ch.type = NVC_PDU_IC_REQ, .ic = {0, 1, 3, 15}};
	expect_text(&pdu, "ICReq pfv=0 hpda=1 dgst=3 maxr2t=15");
	pdu.ch.type = NVC_PDU_IC_RESP;
	expect_text(&pdu, "ICResp pfv=0 cpda=1 dgst=3 maxh2cdata=15");
	pdu.ch = (struct nvc_ch){.type = 8, .plen = 24};
	expect_text(&pdu, "PDU of unknown type 08h plen=24");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire command");
	TCase *tcase = tcase_create("commands");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, load, unload);
	tcase_add_test(tcase, connect_vector);
	tcase_add_test(tcase, auth_vectors);
	tcase_add_test(tcase, other_commands);
	tcase_add_test(tcase, identify_and_discovery);
	tcase_add_test(tcase, statuses);
	tcase_add_test(tcase, names);
	tcase_add_test(tcase, nqns);
	tcase_add_test(tcase, describe_commands);
	tcase_add_test(tcase, describe_the_rest);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
