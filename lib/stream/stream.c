/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/stream.h"

#include <assert.h>
#include <string.h>

enum nvc_result nvc_stream_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	if (!bytes.len)
		return NVC_OK;
	return s->ops->send(s, bytes, deadline);
}

enum nvc_result nvc_stream_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	assert(size);
	*num = 0;
	return s->ops->recv(s, out, size, deadline, num);
}

void nvc_stream_close(struct nvc_stream *s, enum nvc_end how)
{
	s->ops->close(s, how);
}

void nvc_stream_free(struct nvc_stream *s)
{
	if (s)
		s->ops->free(s);
}

const char *nvc_end_name(enum nvc_end end)
{
	switch (end) {
	case NVC_END_OPEN:
		return "open";
	case NVC_END_FIN:
		return "FIN";
	case NVC_END_RST:
		return "RST";
	case NVC_END_CLOSE_NOTIFY:
		return "close_notify";
	case NVC_END_TLS_ALERT:
		return "TLS alert";
	}
	return "unknown end";
}

bool nvc_port_parse(const char *text, uint16_t *port)
{
	unsigned int value = 0;
	size_t len = strlen(text);

	if (len < 1 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(text[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}
