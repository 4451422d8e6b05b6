/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's `target`: the reference target behind real sockets. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/engine/events.h"
#include "harness/engine/reference.h"
#include "harness/engine/run.h"
#include "stream/server.h"

enum { MAX_CONNECTIONS = 1024 };

static volatile int stopped;

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static void log_line(void *self, const char *text)
{
	(void)self;
	events_write(
		STDOUT_FILENO, json_pack("{s:s, s:o}", "event", "log", "text", events_text(text)));
}

/* A key log that cannot be written is no reason to stop serving. */
static void log_exponent(void *self, const char *line)
{
	dprintf(*(const int *)self, "%s\n", line);
}

/* Listens on the port the profile gives for `kind` and tells the number that came of it ("0": a free one). */
static enum nvc_result listen_on(struct nvc_server *server, const char *addr, const char *kind,
	const char *port, json_t *ports, struct nvc_error *err)
{
	const struct nvc_address at = {addr, port};
	uint16_t number = 0;
	enum nvc_result result;

	if (!port[0])
		return NVC_OK;
	result = nvc_server_listen(server, &at, (uint16_t)strtoul(port, NULL, 10), &number, err);
	if (result == NVC_OK)
		json_object_set_new(ports, kind, json_integer(number));
	return result;
}

/* Everything the daemon is made of. */
struct daemon {
	struct profile profile;
	struct reference_options options;
	struct nvc_seeded *random; /* NULL: the system's */
	struct nvc_env env;
	int keylog;
};

static enum nvc_result read_defects(
	const json_t *config, struct reference_options *options, struct nvc_error *err)
{
	const json_t *value;
	size_t i;

	json_array_foreach(json_object_get(config, "defects"), i, value)
	{
		const char *name = json_string_value(value);
		if (!name || i >= MAX_DEFECTS || strlen(name) >= sizeof(options->defects[0]))
			return nvc_fail(
				err, NVC_E_INVALID, "defects: at most %d names", MAX_DEFECTS);
		strcpy(options->defects[options->num_defects++], name);
	}
	return NVC_OK;
}

static enum nvc_result read_options(
	const json_t *config, struct daemon *daemon, struct nvc_error *err)
{
	const char *path = json_string_value(json_object_get(config, "keylog"));
	const char *concat = json_string_value(json_object_get(config, "concat"));
	const json_t *seed = json_object_get(config, "seed");
	enum nvc_result result =
		profile_from_json(json_object_get(config, "target"), &daemon->profile, err);

	if (result == NVC_OK)
		result = read_defects(config, &daemon->options, err);
	if (result != NVC_OK)
		return result;
	daemon->options.concat_required = concat && strcmp(concat, "required") == 0;
	if (json_is_integer(seed)) {
		daemon->random =
			nvc_seeded_new((uint64_t)json_integer_value(seed), "target daemon");
		if (!daemon->random)
			return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a generator");
		daemon->env.self = daemon->random;
		daemon->env.random = nvc_seeded_random;
	}
	if (path) {
		daemon->keylog = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (daemon->keylog < 0)
			return nvc_fail(
				err, NVC_E_INVALID, "key log %s: %s", path, strerror(errno));
		daemon->options.keylog = log_exponent;
		daemon->options.keylog_self = &daemon->keylog;
	}
	return NVC_OK;
}

static enum nvc_result serve(
	struct daemon *daemon, struct nvc_server *server, struct nvc_error *err)
{
	const struct profile *profile = &daemon->profile;
	json_t *ports = json_object();
	enum nvc_result result =
		listen_on(server, profile->addr, "concat", profile->port_concat, ports, err);

	if (result == NVC_OK)
		result = listen_on(server, profile->addr, "tls", profile->port_tls, ports, err);
	if (result == NVC_OK)
		result = listen_on(server, profile->addr, "plain", profile->port_plain, ports, err);
	if (result == NVC_OK) {
		events_write(STDOUT_FILENO, json_pack("{s:s, s:s, s:O}", "event", "listening",
						    "addr", profile->addr, "ports", ports));
		result = nvc_server_run(server, &stopped, err);
	}
	json_decref(ports);
	return result;
}

enum nvc_result engine_target(const json_t *config, struct nvc_error *err)
{
	static struct daemon daemon;
	struct nvc_target *target = NULL;
	struct nvc_server *server = NULL;
	enum nvc_result result;

	daemon.options.log = log_line;
	daemon.env = nvc_env_system();
	daemon.keylog = -1;
	result = read_options(config, &daemon, err);
	if (result == NVC_OK &&
		!(target = reference_target(&daemon.profile, &daemon.options, &daemon.env, err)))
		result = err->result;
	if (result == NVC_OK && !(server = nvc_server_new(nvc_target_service(target), &daemon.env,
					  MAX_CONNECTIONS)))
		result = nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a server");
	if (result == NVC_OK) {
		nvc_server_keylog(server, daemon.keylog);
		signal(SIGTERM, stop);
		signal(SIGINT, stop);
		result = serve(&daemon, server, err);
	}
	nvc_server_free(server);
	nvc_target_free(target);
	nvc_seeded_free(daemon.random);
	if (daemon.keylog >= 0)
		close(daemon.keylog);
	profile_wipe(&daemon.profile);
	return result;
}
