-- What is stuck, and why: psql -f stuck.sql, as reseq_reader. `reseqctl why` asks the supervisor the same, and knows also
-- what its workers and receivers are doing just now.

\echo how far each destination is
WITH assigned AS (
  SELECT shard, destination, max(sequence) AS last
  FROM (
    SELECT shard, destination, last_sequence AS sequence FROM reseq.enrolment
    UNION ALL -- what the index does not have any more
    SELECT shard, id, forgotten_sequence FROM reseq.destination
    UNION ALL -- what a recovery has passed over
    SELECT shard, destination, last_sequence FROM reseq.lost
    UNION ALL -- what the index does not have yet
    SELECT m.shard, split_part(one, ':', 1)::bigint, split_part(one, ':', 2)::bigint
    FROM reseq.message m
    JOIN reseq.shard s ON s.number = m.shard AND m.position > s.indexed_position,
      regexp_split_to_table(m.enrolled, '\s+') AS one
    WHERE one <> ''
  ) AS enrolled
  GROUP BY shard, destination
)
SELECT s.pipeline, d.name AS destination, coalesce(a.last, 0) AS accepted, coalesce(p.watermark, 0) AS settled,
  coalesce(a.last, 0) - coalesce(p.watermark, 0) - (
    SELECT coalesce(sum(l.last_sequence - greatest(l.first_sequence, coalesce(p.watermark, 0) + 1) + 1), 0)
    FROM reseq.lost l
    WHERE l.shard = d.shard AND l.destination = d.id AND l.last_sequence > coalesce(p.watermark, 0)
  ) AS behind, coalesce(p.last_delivered, 0) AS last_delivered, coalesce(p.paused, false) AS paused
FROM reseq.destination d
JOIN reseq.shard s ON s.number = d.shard
LEFT JOIN reseq.progress p ON p.shard = d.shard AND p.destination = d.id
LEFT JOIN assigned a ON a.shard = d.shard AND a.destination = d.id
ORDER BY behind DESC, s.pipeline, d.name;

\echo held: each waits for reseqctl retry or skip, and its destination, or key, with it
SELECT s.pipeline, d.name AS destination, h.sequence, h.position, m.id AS message_id, h.reason, h.attempts, h.last_error,
  now() - h.since AS held_for
FROM reseq.held h
JOIN reseq.destination d ON d.shard = h.shard AND d.id = h.destination
JOIN reseq.shard s ON s.number = h.shard
LEFT JOIN reseq.message m ON m.shard = h.shard AND m.position = h.position
ORDER BY h.since;

\echo keys that are left aside until they can go on
SELECT s.pipeline, d.name AS destination, k.key, k.from_sequence
FROM reseq.parked k
JOIN reseq.destination d ON d.shard = k.shard AND d.id = k.destination
JOIN reseq.shard s ON s.number = k.shard
ORDER BY k.from_sequence
LIMIT 50;

\echo dead letters, the latest first
SELECT s.pipeline, d.name AS destination, l.sequence, l.message_id, l.reason, l.attempts, l.last_error, l.since
FROM reseq.dead_letter l
JOIN reseq.destination d ON d.shard = l.shard AND d.id = l.destination
JOIN reseq.shard s ON s.number = l.shard
ORDER BY l.since DESC
LIMIT 50;

\echo sessions that keep locked what the session of a supervisor waits for
SELECT w.pid AS supervisor_pid, b.pid AS waits_for, b.usename, b.application_name, b.state, now() - b.xact_start AS locks_for
FROM pg_stat_activity w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking (pid)
LEFT JOIN pg_stat_activity b ON b.pid = blocking.pid
WHERE w.pid IN (SELECT owner_pid FROM reseq.shard);

\echo who owns what, and whether its session is there
SELECT s.pipeline, s.epoch, s.owner, s.owner_pid, a.pid IS NOT NULL AS connected, a.state
FROM reseq.shard s
LEFT JOIN pg_stat_activity a ON a.pid = s.owner_pid AND a.backend_start = s.owner_pid_started
ORDER BY s.pipeline;
