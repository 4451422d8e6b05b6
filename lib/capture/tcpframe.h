/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet frames as a conversation over TCP would have looked on a wire, made from the bytes that were sent and received:
 * for captures that need no privileges. What goes up to where a socket is looks the same; acknowledgements that carry
 * nothing, windows and retransmissions are not known there and are left out.
 */
#ifndef NVC_CAPTURE_TCPFRAME_H
#define NVC_CAPTURE_TCPFRAME_H

#include "wire/pdu.h"

enum nvc_tcp_flag {
	NVC_TCP_FIN = 1,
	NVC_TCP_SYN = 2,
	NVC_TCP_RST = 4,
	NVC_TCP_PSH = 8,
	NVC_TCP_ACK = 16,
};

enum {
	NVC_TCPFRAME_SEGMENT = 1448,		    /* payload of one frame at most */
	NVC_TCPFRAME_MAX = 14 + 40 + 20 + 4 + 1448, /* bytes of one frame */
};

/* Two ends of a connection, by enum nvc_direction of what they send: [NVC_H2C] is the host. An IPv4 address is the first
 * 4 bytes. */
struct nvc_tcp_ends {
	bool ipv6;
	uint8_t address[2][16];
	uint16_t port[2];
};

/* A connection that is being drawn; {.ends = ...} is one before its SYN. */
struct nvc_tcpframe {
	struct nvc_tcp_ends ends;
	uint32_t next
		[2]; /* sequence number of the next byte of each direction: any value to begin with */
};

/* nvc_tcpframe_make writes one frame with `flags` and `payload` (at most NVC_TCPFRAME_SEGMENT bytes, the rest is cut) into
 * `out` and returns its length; sequence numbers, acknowledgements and checksums follow from what went before. A SYN
 * carries the segment size as an option. */
size_t nvc_tcpframe_make(struct nvc_tcpframe *conn, enum nvc_direction direction,
	unsigned int flags, struct nvc_slice payload, uint8_t out[NVC_TCPFRAME_MAX]);

#endif
