-- Run once by the Postgres image, when its folder is empty: scheduler and result proxy have a database each.
CREATE DATABASE "result-proxy";
