/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify and discovery data (docs/protocol.md 2.9, 2.10). Only fields that somebody uses have rows; what lies between
 * the rows of the Identify structures is neither shown nor reserved. */
#include "wire/command.h"
#include "wire/rows.h"

#define CTRL struct nvc_identify_controller
static const struct nvc_field controller_rows[] = {
	ROW_UINT(0, CTRL, vid, "vid", NULL),
	ROW_UINT(2, CTRL, ssvid, "ssvid", NULL),
	ROW_BYTES(4, CTRL, sn, "sn"),
	ROW_BYTES(24, CTRL, mn, "mn"),
	ROW_BYTES(64, CTRL, fr, "fr"),
	ROW_UINT(77, CTRL, mdts, "mdts", NULL),
	ROW_UINT(78, CTRL, cntlid, "cntlid", NULL),
	ROW_UINT(80, CTRL, ver, "ver", NULL),
	ROW_UINT(111, CTRL, cntrltype, "cntrltype", NULL),
	ROW_UINT(320, CTRL, kas, "kas", NULL),
	ROW_UINT(512, CTRL, sqes, "sqes", NULL),
	ROW_UINT(513, CTRL, cqes, "cqes", NULL),
	ROW_UINT(514, CTRL, maxcmd, "maxcmd", NULL),
	ROW_UINT(516, CTRL, nn, "nn", NULL),
	ROW_UINT(536, CTRL, sgls, "sgls", NULL),
	ROW_BYTES(768, CTRL, subnqn, "subnqn"),
	ROW_UINT(1792, CTRL, ioccsz, "ioccsz", NULL),
	ROW_UINT(1796, CTRL, iorcsz, "iorcsz", NULL),
	ROW_UINT(1800, CTRL, icdoff, "icdoff", NULL),
	ROW_UINT(1802, CTRL, fcatt, "fcatt", NULL),
	ROW_UINT(1803, CTRL, msdbd, "msdbd", NULL),
	ROW_UINT(1804, CTRL, ofcs, "ofcs", NULL),
};
const struct nvc_layout nvc_identify_controller_layout =
	LAYOUT("Identify Controller", controller_rows, CTRL, NVC_IDENTIFY_LEN);

#define NS struct nvc_identify_namespace
static const struct nvc_field namespace_rows[] = {
	ROW_UINT(0, NS, nsze, "nsze", NULL),
	ROW_UINT(8, NS, ncap, "ncap", NULL),
	ROW_UINT(16, NS, nuse, "nuse", NULL),
	ROW_UINT(25, NS, nlbaf, "nlbaf", NULL),
	ROW_UINT(26, NS, flbas, "flbas", NULL),
	ROW_UINT(128, NS, lbaf0, "lbaf0", NULL),
};
const struct nvc_layout nvc_identify_namespace_layout =
	LAYOUT("Identify Namespace", namespace_rows, NS, NVC_IDENTIFY_LEN);

static const struct nvc_field header_rows[] = {
	ROW_UINT(0, struct nvc_discovery_header, genctr, "genctr", NULL),
	ROW_UINT(8, struct nvc_discovery_header, numrec, "numrec", NULL),
	ROW_UINT(16, struct nvc_discovery_header, recfmt, "recfmt", NULL),
	ROW_RESERVED(18, 1006),
};
const struct nvc_layout nvc_discovery_header_layout = LAYOUT(
	"Discovery Log Page", header_rows, struct nvc_discovery_header, NVC_DISCOVERY_HEADER_LEN);

#define ENTRY struct nvc_discovery_entry
static const struct nvc_name trtype_names[] = {{3, "TCP"}, {0, NULL}};
static const struct nvc_name adrfam_names[] = {{1, "IPv4"}, {2, "IPv6"}, {0, NULL}};
static const struct nvc_name subtype_names[] = {
	{1, "referral"},
	{2, "NVM subsystem"},
	{3, "current discovery subsystem"},
	{0, NULL},
};
static const struct nvc_name sectype_names[] = {
	{0, "none"}, {1, "TLS 1.2"}, {2, "TLS 1.3"}, {0, NULL}};

static const struct nvc_field entry_rows[] = {
	ROW_UINT(0, ENTRY, trtype, "trtype", trtype_names),
	ROW_UINT(1, ENTRY, adrfam, "adrfam", adrfam_names),
	ROW_UINT(2, ENTRY, subtype, "subtype", subtype_names),
	ROW_UINT(3, ENTRY, treq, "treq", NULL),
	ROW_UINT(4, ENTRY, portid, "portid", NULL),
	ROW_UINT(6, ENTRY, cntlid, "cntlid", NULL),
	ROW_UINT(8, ENTRY, asqsz, "asqsz", NULL),
	ROW_UINT(10, ENTRY, eflags, "eflags", NULL),
	ROW_RESERVED(12, 20),
	ROW_BYTES(32, ENTRY, trsvcid, "trsvcid"),
	ROW_RESERVED(64, 192),
	ROW_BYTES(256, ENTRY, subnqn, "subnqn"),
	ROW_BYTES(512, ENTRY, traddr, "traddr"),
	ROW_UINT(768, ENTRY, sectype, "sectype", sectype_names),
	ROW_RESERVED(769, 255),
};
const struct nvc_layout nvc_discovery_entry_layout =
	LAYOUT("Discovery Log Page Entry", entry_rows, ENTRY, NVC_DISCOVERY_ENTRY_LEN);
