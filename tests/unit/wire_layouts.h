/* SPDX-License-Identifier: BSD-3-Clause */
/* Every layout of lib/wire, for the tests and fuzz targets that hold for all of them. */
#ifndef NVC_TESTS_WIRE_LAYOUTS_H
#define NVC_TESTS_WIRE_LAYOUTS_H

#include "wire/auth.h"
#include "wire/command.h"

/* The Identify structures and the unknown Fabrics command have bytes that no row describes. */
static const struct wire_layout {
	const struct nvc_layout *layout;
	bool gaps;
} wire_layouts[] = {
	{&nvc_negotiate_layout, false},
	{&nvc_dhchap_descriptor_layout, false},
	{&nvc_failure1_layout, false},
	{&nvc_failure2_layout, false},
	{&nvc_challenge_layout, false},
	{&nvc_reply_layout, false},
	{&nvc_success1_layout, false},
	{&nvc_success2_layout, false},
	{&nvc_ch_layout, false},
	{&nvc_cmd_connect_layout, false},
	{&nvc_cmd_property_get_layout, false},
	{&nvc_cmd_property_set_layout, false},
	{&nvc_cmd_auth_send_layout, false},
	{&nvc_cmd_auth_receive_layout, false},
	{&nvc_cmd_disconnect_layout, false},
	{&nvc_cmd_nvme_layout, false},
	{&nvc_cmd_fabrics_layout, true},
	{&nvc_cqe_layout, false},
	{&nvc_connect_data_layout, false},
	{&nvc_identify_controller_layout, true},
	{&nvc_identify_namespace_layout, true},
	{&nvc_discovery_header_layout, false},
	{&nvc_discovery_entry_layout, false},
};

enum {
	NUM_WIRE_LAYOUTS = sizeof(wire_layouts) / sizeof(wire_layouts[0]),
	NUM_PDU_TYPES = 10, /* 08h is not defined: nvc_pdu_layout gives NULL */
	NUM_ALL_LAYOUTS = NUM_WIRE_LAYOUTS + NUM_PDU_TYPES,
};

/* The layout of an index below NUM_ALL_LAYOUTS; NULL for the undefined PDU type. */
static inline const struct nvc_layout *wire_layout(size_t i, bool *gaps)
{
	*gaps = i < NUM_WIRE_LAYOUTS && wire_layouts[i].gaps;
	return i < NUM_WIRE_LAYOUTS ? wire_layouts[i].layout
				    : nvc_pdu_layout((uint8_t)(i - NUM_WIRE_LAYOUTS));
}

/* Room for the struct of any layout. */
union wire_message {
	struct nvc_pdu pdu;
	struct nvc_identify_controller controller;
	struct nvc_discovery_entry entry;
	struct nvc_connect_data connect_data;
	struct nvc_reply reply;
	struct nvc_challenge challenge;
};

#endif
