-- A catalogue that is made up: the tables and columns of the Pagila sample that the storefront reads, with 1,000 films.
-- The same rows each time.
BEGIN;

CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');

CREATE TABLE film (
    film_id integer PRIMARY KEY,
    title text NOT NULL,
    description text,
    release_year integer,
    length smallint,
    rating mpaa_rating,
    rental_rate numeric(4,2) NOT NULL
);
CREATE TABLE actor (
    actor_id integer PRIMARY KEY,
    first_name text NOT NULL,
    last_name text NOT NULL
);
CREATE TABLE film_actor (
    actor_id integer NOT NULL REFERENCES actor,
    film_id integer NOT NULL REFERENCES film,
    PRIMARY KEY (actor_id, film_id)
);
CREATE TABLE customer (
    customer_id integer PRIMARY KEY,
    first_name text NOT NULL,
    last_name text NOT NULL,
    email text,
    activebool boolean NOT NULL
);
CREATE TABLE rental (
    rental_id integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customer,
    inventory_id integer NOT NULL,
    rental_date timestamptz NOT NULL,
    return_date timestamptz
);

-- 40 words by 25: each title once.
INSERT INTO film
SELECT n, format('%s %s', first[1 + n % 40], second[1 + n / 40 % 25]),
       format('The story of film %s.', n), 1980 + n * 7 % 45, 46 + n * 13 % 140,
       (enum_range(NULL::mpaa_rating))[1 + n * 3 % 5], (ARRAY[0.99, 2.99, 4.99])[1 + n % 3]
FROM generate_series(1, 1000) AS n,
     string_to_array('AMBER ANCIENT AUTUMN BLAZING BORROWED BRIGHT BROKEN CALM CARELESS CLEVER CROOKED CURIOUS DISTANT '
         'EAGER ELECTRIC EMPTY FADED FEARLESS FROZEN GENTLE GILDED HIDDEN HOLLOW HUMBLE IRON LONELY LUCKY MIDNIGHT NARROW '
         'PATIENT QUIET RESTLESS RUSTY SECOND SILVER SLEEPY STOLEN SUNDAY VELVET WANDERING', ' ') AS first,
     string_to_array('ANCHOR BRIDGE CARAVAN CHIMNEY CLOCK COMET ENGINE FERRY GARDEN HARBOUR HORIZON ISLAND KITE LANTERN '
         'LIGHTHOUSE MIRROR ORCHARD PARADE PIANO RAILWAY RIVER SHADOW SPARROW STAIRCASE TELEGRAM', ' ') AS second;

INSERT INTO actor
SELECT n, first[1 + n % 20], second[1 + n / 20 % 10]
FROM generate_series(1, 200) AS n,
     string_to_array('ADA ANTON BEA BRUNO CARLA DMITRI ELSA EMIL FAY GUSTAV HANA IVO JUNE KASPAR LENA MILO NINA OTTO PIA '
         'RUBEN', ' ') AS first,
     string_to_array('ASHBY BECKER CALLOWAY DUVAL ELLERY FONTAINE GRADY HOLM IRVING JANSEN', ' ') AS second;

-- Three to eight in each film; 23 and 200 have no common divisor, so nobody is twice in one.
INSERT INTO film_actor
SELECT 1 + (film_id * 7 + k * 23) % 200, film_id
FROM film, generate_series(1, 3 + film_id % 6) AS k;

INSERT INTO customer
SELECT n, first_name, last_name, lower(format('%s.%s.%s@example.org', first_name, last_name, n)), n % 40 <> 0
FROM generate_series(1, 600) AS n JOIN actor ON actor_id = 1 + n * 11 % 200;

INSERT INTO rental
SELECT n, 1 + n * 37 % 600, 1 + n * 101 % 4500, rented,
       CASE WHEN n % 50 <> 0 THEN rented + interval '1 hour' * (20 + n * 7 % 150) END
FROM generate_series(1, 16000) AS n, LATERAL (SELECT timestamptz '2022-05-24 12:00:00+00' + interval '9 minutes' * n) AS at (rented);

CREATE INDEX ON film (rating);
CREATE INDEX ON film_actor (film_id);
CREATE INDEX ON rental (customer_id);

COMMIT;
ANALYZE;
