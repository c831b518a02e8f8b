/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements artifact.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact.h"
#include "init/lib/memfd.h"

#define ARTIFACTS_MAX 32

struct artifact {
	char name[ARTIFACT_NAME_MAX];
	int fd;
	bool own;	/* given by PID 1 itself */
	bool kept;	/* never expires: a refresh or a restarted service may take it at any time */
};

static const struct plan *plan;
static struct artifact artifacts[ARTIFACTS_MAX];
static size_t n_artifacts;

static bool lists(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

/* A stage's type lists the artifacts it takes; a service takes the one that its container's login names. */
static bool takes(const struct plan_node *node, const char *name)
{
	const struct config_node *config = node->config;

	if (config->stage)
		return lists(config->stage->takes, name);
	return config->takes && !strcmp(config->takes, name);
}

/* A service gets the copy of the document without the disk secrets, since a registry login needs none of them. */
static const char *kept_name(const struct plan_node *node, const char *name)
{
	return !node->config->stage && !strcmp(name, CONFIG_ARTIFACT) ? KEPT_ARTIFACT : name;
}

static struct artifact *find(const char *name)
{
	for (size_t i = 0; i < n_artifacts; i++)
		if (!strcmp(artifacts[i].name, name))
			return &artifacts[i];
	return NULL;
}

static int add(const char *name)
{
	struct artifact *artifact;

	if (find(name))
		return 0;
	if (n_artifacts == ARTIFACTS_MAX || strlen(name) >= ARTIFACT_NAME_MAX)
		return -ENOSPC;
	artifact = &artifacts[n_artifacts++];
	snprintf(artifact->name, sizeof(artifact->name), "%s", name);
	artifact->fd = -1;
	return 0;
}

int artifact_init(const struct plan *with)
{
	int r;

	plan = with;
	r = add("held-reason");
	artifacts[0].own = true;
	for (size_t i = 0; r == 0 && i < plan->n_nodes; i++) {
		const struct stage *stage = plan->nodes[i].config->stage;

		for (const char *const *name = stage ? stage->gives : NULL; r == 0 && name && *name; name++)
			r = add(*name);
	}
	for (size_t i = 0; i < plan->n_nodes; i++) {
		const char *name = plan->nodes[i].config->takes;
		struct artifact *artifact = name ? find(kept_name(&plan->nodes[i], name)) : NULL;

		if (artifact)
			artifact->kept = true;
	}
	return r;
}

static void set(struct artifact *artifact, int fd)
{
	if (artifact->fd >= 0)
		close(artifact->fd);
	artifact->fd = fd;
}

int artifact_give(size_t node, const char *name, int fd)
{
	const struct stage *stage = plan->nodes[node].config->stage;
	struct artifact *artifact = find(name);
	int r;

	if (!artifact || artifact->own || !stage || !lists(stage->gives, name))
		return -EPERM;
	r = memfd_check(fd, ARTIFACT_SIZE_MAX);
	if (r < 0)
		return r;
	set(artifact, fd);
	return 0;
}

void artifact_give_text(const char *name, const char *text)
{
	struct artifact *artifact = find(name);
	int fd = artifact ? memfd_sealed(name, text, strlen(text)) : -1;

	if (fd >= 0)
		set(artifact, fd);
}

void artifact_keep(const char *name)
{
	struct artifact *artifact = find(name);

	if (artifact)
		artifact->kept = true;
}

int artifact_now(const char *name)
{
	const struct artifact *artifact = find(name);

	return artifact && artifact->fd >= 0 ? memfd_reopen(artifact->fd) : -ENOENT;
}

void artifact_replace(const char *name, int fd)
{
	struct artifact *artifact = find(name);

	if (artifact)
		set(artifact, fd);
	else
		close(fd);
}

/* Whether the node may still give an artifact: not if it is done or skipped, nor after it failed for good. */
static bool may_act(const struct plan_node *node)
{
	return node->state != NODE_DONE && node->state != NODE_SKIPPED && node->state != NODE_FAILED &&
	       node->state != NODE_BLOCKED;
}

static bool giver_left(const char *name)
{
	for (size_t i = 0; i < plan->n_nodes; i++) {
		const struct stage *stage = plan->nodes[i].config->stage;

		if (stage && lists(stage->gives, name) && may_act(&plan->nodes[i]))
			return true;
	}
	return false;
}

int artifact_take(size_t node, const char *name, int *ret_fd)
{
	struct artifact *artifact = find(kept_name(&plan->nodes[node], name));
	int fd;

	if (!takes(&plan->nodes[node], name))
		return -EPERM;
	if (!artifact)
		return -ENOENT;
	if (artifact->fd < 0)
		return giver_left(artifact->name) ? -EAGAIN : -ENOENT;
	fd = memfd_reopen(artifact->fd);
	if (fd < 0)
		return -EAGAIN;
	*ret_fd = fd;
	return 0;
}

void artifact_expire(void)
{
	for (size_t i = 0; i < n_artifacts; i++) {
		struct artifact *artifact = &artifacts[i];
		bool wanted = false;

		if (artifact->fd < 0 || artifact->own || artifact->kept)
			continue;
		for (size_t k = 0; k < plan->n_nodes; k++) {
			const struct plan_node *node = &plan->nodes[k];

			/* A failed or blocked taker may be started again by hand. */
			if (node->config->kind == NODE_SERVICE)
				break;	/* services follow the stages, and their artifacts are `kept` */
			if (node->config->stage && lists(node->config->stage->takes, artifact->name) &&
			    node->state != NODE_DONE && node->state != NODE_SKIPPED)
				wanted = true;
		}
		if (!wanted)
			set(artifact, -1);
	}
}
