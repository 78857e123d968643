-- What any app collects in ten years; nothing of it fits as it is
CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id), code TEXT REFERENCES parent(code), note TEXT);
CREATE TABLE keyed (k TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE composed (a TEXT, b INTEGER, v NUMERIC(6,2), PRIMARY KEY (a, b));
CREATE TABLE texts (id INTEGER PRIMARY KEY, t TEXT, v VARCHAR(3), j JSON);
CREATE TABLE mixed (id INTEGER PRIMARY KEY, n INTEGER, r REAL, b BOOLEAN, d DATETIME, u UUID, x BLOB, a);
INSERT INTO parent VALUES (1,'a'),(2,NULL),(3,NULL);
INSERT INTO child VALUES (1,1,'a',NULL),(2,99,'zz','orphan'),(3,NULL,NULL,'fine'),(4,98,NULL,NULL);
INSERT INTO keyed VALUES ('a',1),(NULL,2),(NULL,3),('',4);
INSERT INTO composed VALUES ('x',NULL,1.005),('x',NULL,99999.99),('y',1,'n/a');
INSERT INTO texts VALUES (1,'NUL'||char(0)||'here','long one','{"a":1}'),(2,CAST(x'e9' AS TEXT),'äöü','{bad'),(3,x'68656c6c6f','','null'),(4,'fine',NULL,'[1, 2]'),(5,'',12,'{"n":"\u0000"}');
INSERT INTO mixed VALUES (1,'twelve',1.5,1,'2024-01-01','0f8fad5b-d9cb-469f-a165-70867728950e',x'00',1),(2,9223372036854775807,9e999,'t','2024-01-01T10:00:00+02:00','',  'text','1'),(3,1e20,'',2,1700000000,NULL,7,1.0),(4,'',-9e999,NULL,'yesterday','{x}',NULL,x'31'),(5,3,-0.0,0,'',x'00112233445566778899aabbccddeeff',1.5,NULL);
