-- WhatsApp msgstore.db, Signal, Skype main.db, Telegram: what they have in common and what is odd
CREATE TABLE messages (_id INTEGER PRIMARY KEY AUTOINCREMENT, key_remote_jid TEXT NOT NULL, key_from_me INTEGER, key_id TEXT NOT NULL, status INTEGER, needs_push INTEGER, data TEXT, timestamp INTEGER, media_url TEXT, media_size INTEGER, media_hash TEXT, latitude REAL, longitude REAL, thumb_image TEXT, remote_resource TEXT, raw_data BLOB, recipient_count INTEGER, starred INTEGER);
CREATE TABLE chat_list (_id INTEGER PRIMARY KEY AUTOINCREMENT, key_remote_jid TEXT UNIQUE, message_table_id INTEGER, subject TEXT, creation INTEGER, sort_timestamp INTEGER);
CREATE TABLE jid (_id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, server TEXT NOT NULL, agent INTEGER, device INTEGER, type INTEGER, raw_string TEXT);
CREATE TABLE message_thumbnails (thumbnail BLOB, timestamp DATETIME, key_remote_jid TEXT NOT NULL, key_from_me INTEGER, key_id TEXT NOT NULL);
CREATE TABLE props (_id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, value TEXT);
CREATE VIRTUAL TABLE messages_fts USING FTS3();
CREATE UNIQUE INDEX messages_key_index ON messages (key_remote_jid, key_from_me, key_id);
CREATE UNIQUE INDEX jid_raw_string_index ON jid (raw_string);
CREATE INDEX starred_index ON messages (starred) WHERE starred > 0;
CREATE TRIGGER messages_bd_trigger BEFORE DELETE ON messages BEGIN DELETE FROM messages_fts WHERE docid = old._id; END;
INSERT INTO messages (_id,key_remote_jid,key_from_me,key_id,status,data,timestamp,latitude,longitude,thumb_image,raw_data) VALUES (1,'-1',0,'-1',-1,NULL,0,0.0,0.0,NULL,NULL),(2,'49170@s.whatsapp.net',1,'ABC',13,'Grüße 👩‍👩‍👧',1700000000123,52.5,13.4,x'aced0005',x'ffd8'),(3,'49170@s.whatsapp.net',0,'DEF',0,NULL,1700000000999,0,0,'',NULL);
INSERT INTO messages_fts (docid, content) VALUES (2, 'grüße');
INSERT INTO chat_list VALUES (1,'49170@s.whatsapp.net',3,NULL,NULL,1700000000999);
INSERT INTO jid VALUES (1,'49170','s.whatsapp.net',0,0,0,'49170@s.whatsapp.net'),(2,'','broadcast',NULL,NULL,5,NULL),(3,'','x',NULL,NULL,5,NULL);
INSERT INTO message_thumbnails VALUES (x'ffd8',1700000000123,'49170@s.whatsapp.net',1,'ABC');
INSERT INTO props VALUES (1,'schema_version',1),(2,'fts_ready','5');
-- Signal desktop (decrypted): JSON in text, generated columns, WITHOUT ROWID
CREATE TABLE conversations (id STRING PRIMARY KEY ASC, json TEXT, active_at INTEGER, type STRING, members TEXT, name TEXT, profileLastFetchedAt INTEGER, e164 TEXT);
CREATE TABLE "signal messages" (rowid INTEGER PRIMARY KEY ASC, id STRING UNIQUE, json TEXT, readStatus INTEGER, expires_at INTEGER, sent_at INTEGER, schemaVersion INTEGER, conversationId STRING, body TEXT, isErased INTEGER, type STRING, shouldAffectActivity INTEGER GENERATED ALWAYS AS (type IS NULL OR type NOT IN ('change-number-notification','group-v1-migration')), isStory INTEGER GENERATED ALWAYS AS (type IS 'story') STORED, expiresAt INT GENERATED ALWAYS AS (ifnull(expires_at, 9007199254740991)));
CREATE TABLE reactions(conversationId STRING, emoji STRING, fromId STRING, messageReceivedAt INTEGER, targetAuthorAci STRING, targetTimestamp INTEGER, unread INTEGER);
CREATE TABLE sessions(id TEXT PRIMARY KEY, conversationId TEXT, json TEXT, ourServiceId STRING) WITHOUT ROWID;
CREATE INDEX messages_conversation ON "signal messages" (conversationId, shouldAffectActivity, sent_at DESC);
CREATE INDEX messages_unread ON "signal messages" (conversationId) WHERE readStatus = 0 AND isStory IS NOT NULL;
CREATE INDEX messages_preview ON "signal messages" (json_extract(json, '$.source'));
INSERT INTO conversations VALUES ('a1b2-c3','{"id":"a1b2-c3","unreadCount":0}',1700000000123,'private',NULL,NULL,NULL,'+49170'),('123','{}',NULL,'group','a b','G',NULL,NULL);
INSERT INTO "signal messages" (rowid,id,json,readStatus,sent_at,conversationId,body,type) VALUES (1,'m-1','{"source":"+49","b":"\u0000"}',0,1700000000123,'a1b2-c3','x','incoming'),(2,'0042','{}',1,1700000000124,'123',NULL,NULL),(3,'1e5','[]',1,NULL,NULL,NULL,'story');
INSERT INTO reactions VALUES ('a1b2-c3','👍','x',1,'y',1,0);
INSERT INTO sessions VALUES ('s.1','a1','{}','PNI:1');
-- Skype: is_permanent everywhere, columns called timestamp, blobs with NULs
CREATE TABLE DbMeta (key TEXT NOT NULL PRIMARY KEY, value TEXT);
CREATE TABLE Accounts (id INTEGER NOT NULL PRIMARY KEY, is_permanent INTEGER, status INTEGER, pwdchangestatus INTEGER, logoutreason INTEGER, signin_name TEXT, birthday INTEGER, avatar_image BLOB, skypename TEXT, fullname TEXT, registration_timestamp INTEGER, balance_precision INTEGER, extprop_seen_birthday INTEGER);
CREATE TABLE SkypeMessages (id INTEGER NOT NULL PRIMARY KEY, is_permanent INTEGER, convo_id INTEGER, chatname TEXT, author TEXT, "timestamp" INTEGER, edited_timestamp INTEGER, body_xml TEXT, guid BLOB, crc INTEGER, identities TEXT, "type" INTEGER);
CREATE INDEX IX_Messages_convo_id_timestamp ON SkypeMessages (convo_id, "timestamp");
INSERT INTO DbMeta VALUES ('schema_version','110'),('e',x'414243');
INSERT INTO Accounts (id,is_permanent,skypename,avatar_image,birthday) VALUES (1,1,'me',x'00ffd8ff',19700101);
INSERT INTO SkypeMessages VALUES (77,1,5,'#a/$b','me',1300000000,NULL,'<ss type="smile">:)</ss>',x'00112233445566778899aabbccddeeff',4294967295,NULL,61);
