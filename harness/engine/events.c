/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t num = write(fd, data, len);
		if (num < 0 && errno == EINTR)
			continue;
		if (num <= 0)
			return false;
		data += num;
		len -= (size_t)num;
	}
	return true;
}

bool events_write(int fd, json_t *event)
{
	char *line = event ? json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	bool written = false;

	json_decref(event);
	if (!line)
		return false;
	/* One write for a line, so that lines of several processes on one pipe do not mix. */
	size_t len = strlen(line);
	char *whole = realloc(line, len + 2);
	if (whole) {
		line = whole;
		line[len] = '\n';
		written = write_all(fd, line, len + 1);
	}
	free(line);
	return written;
}

json_t *events_text(const char *text)
{
	json_t *value = json_string(text);
	char *clean;

	if (value)
		return value;
	clean = strdup(text);
	for (char *at = clean; at && *at; at++)
		if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
			*at = '?';
	value = json_string(clean);
	free(clean);
	return value;
}
