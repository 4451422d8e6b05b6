/* SPDX-License-Identifier: BSD-3-Clause */
/* From a captured frame to the TCP segment inside: link layers, VLAN tags, IPv4, IPv6. */
#ifndef NVC_CAPTURE_FRAME_H
#define NVC_CAPTURE_FRAME_H

#include "capture/tcpframe.h"

/* Link types of pcap (the LINKTYPE_ values of its registry) that are understood. */
enum nvc_linktype {
	NVC_LINK_NULL = 0,
	NVC_LINK_EN10MB = 1,
	NVC_LINK_RAW_BSD = 12, /* what libpcap calls raw IP on Linux; 14 on OpenBSD */
	NVC_LINK_RAW_OPENBSD = 14,
	NVC_LINK_RAW = 101,
	NVC_LINK_LOOP = 108,
	NVC_LINK_SLL = 113,
	NVC_LINK_IPV4 = 228,
	NVC_LINK_IPV6 = 229,
	NVC_LINK_SLL2 = 276,
};

/* One TCP segment. In `ends`, [0] is the sender and [1] the receiver. */
struct nvc_segment {
	struct nvc_tcp_ends ends;
	uint32_t seq, ack;
	uint8_t flags; /* enum nvc_tcp_flag */
	struct nvc_slice payload;
	size_t missing; /* bytes of the payload that the snap length cut off */
};

enum nvc_frame_kind {
	NVC_FRAME_OTHER, /* no TCP, or broken */
	NVC_FRAME_TCP,
	NVC_FRAME_FRAGMENT, /* the first IP fragment of a TCP segment, which is not put together */
	NVC_FRAME_LATER_FRAGMENT,
	NVC_FRAME_CUT, /* the snap length cut into the headers */
};

/* nvc_frame_link_known tells whether frames of link type `link` can be taken apart. */
bool nvc_frame_link_known(int link);

/* nvc_frame_parse takes `frame` apart, of which `wire_len` bytes (at least frame.len) were on the wire. `out` is filled for
 * NVC_FRAME_TCP and points into `frame`; of a first fragment and of what is cut it has the ports, 0 where they are not there. Checksums are not looked at: with offloading, what is captured on the sender
 * does not have them yet. */
enum nvc_frame_kind nvc_frame_parse(
	int link, struct nvc_slice frame, size_t wire_len, struct nvc_segment *out);

#endif
